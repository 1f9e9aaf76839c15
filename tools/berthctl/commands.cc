// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/commands.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/ip_addr.h"
#include "common/net/quote.h"
#include "tools/berthctl/explain.h"
#include "tools/berthctl/rows.h"
#include "tools/berthctl/table.h"

namespace berth::ctl {
namespace {

using Stub = Client::Stub;

Outcome PrintText(const absl::StatusOr<std::string>& text, const Console& console) {
  if (!text.ok()) return Outcome::Refused(std::string(text.status().message()));
  console.out << *text;
  return Outcome::Done();
}

std::string NameOf(const v1::Pool& pool) { return pool.name(); }
std::string NameOf(const v1::Service& service) { return absl::StrCat(service.namespace_(), "/", service.name()); }
std::string NameOf(const v1::Address& address) { return address.address(); }
std::string NameOf(const v1::Agent& agent) { return agent.node(); }

// Keeps the one called `name`; false when there is none.
template <typename Item>
bool KeepNamed(const std::string& name, google::protobuf::RepeatedPtrField<Item>* items) {
  if (name.empty()) return true;
  items->erase(std::remove_if(items->begin(), items->end(), [&name](const Item& i) { return NameOf(i) != name; }),
               items->end());
  return !items->empty();
}

// `to_table` makes the table of a list; `items` is its repeated field.
template <typename Request, typename Response, typename Item, typename ToTable>
Outcome GetList(Client& client, const Console& console, const std::string& kind, const std::string& name,
                Client::Method<Request, Response> method,
                google::protobuf::RepeatedPtrField<Item>* (Response::*items)(), ToTable to_table) {
  Response list;
  if (Outcome outcome = client.List(method, list); !outcome.ok()) return outcome;
  if (!KeepNamed(name, (list.*items)())) {
    return Outcome::Refused(absl::StrCat("there is none of the ", kind, " called ", Quote(name)));
  }
  if (IsForPrograms(console.output)) return PrintMessage(list, console);
  if ((list.*items)()->empty()) {
    console.err << "no " << kind << "\n";
    return Outcome::Done();
  }
  console.out << FormatTable(to_table(list, console.output == Output::kWide));
  return Outcome::Done();
}

// "1 error, 2 warnings".
std::string CountsOf(std::ptrdiff_t errors, std::ptrdiff_t warnings) {
  const auto counted = [](std::ptrdiff_t n, const char* what) { return absl::StrCat(n, " ", what, n == 1 ? "" : "s"); };
  return absl::StrCat(counted(errors, "error"), ", ", counted(warnings, "warning"));
}

// "namespace/name" in two; false when it is not that.
bool SplitServiceName(const std::string& text, std::string& ns, std::string& name) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == text.size()) return false;
  ns = text.substr(0, slash);
  name = text.substr(slash + 1);
  return name.find('/') == std::string::npos;
}

Outcome NotAServiceName(const std::string& text) {
  return Outcome::BadUsage(
      absl::StrCat("a Service is named NAMESPACE/NAME, for example default/web, not ", Quote(text)));
}

}  // namespace

Outcome PrintMessage(const google::protobuf::Message& message, const Console& console) {
  return PrintText(ForPrograms(message, console.output), console);
}

Outcome Get(Client& client, const Console& console, const std::string& kind, const std::string& name) {
  const absl::Time now = absl::Now();
  if (kind == "pools") {
    return GetList(client, console, kind, name, &Stub::ListPools, &v1::ListPoolsResponse::mutable_pools, PoolTable);
  }
  if (kind == "services") {
    std::string ns, bare;
    if (!name.empty() && !SplitServiceName(name, ns, bare)) return NotAServiceName(name);
    return GetList(client, console, kind, name, &Stub::ListServices, &v1::ListServicesResponse::mutable_services,
                   ServiceTable);
  }
  if (kind == "addresses") {
    const absl::StatusOr<IpAddr> address = name.empty() ? IpAddr() : IpAddr::Parse(name);
    if (!address.ok()) return Outcome::BadUsage(std::string(address.status().message()));
    return GetList(client, console, kind, name.empty() ? name : address->ToString(), &Stub::ListAddresses,
                   &v1::ListAddressesResponse::mutable_addresses,
                   [now](const v1::ListAddressesResponse& list, bool wide) { return AddressTable(list, wide, now); });
  }
  if (kind == "agents") {
    return GetList(client, console, kind, name, &Stub::ListAgents, &v1::ListAgentsResponse::mutable_agents,
                   [now](const v1::ListAgentsResponse& list, bool wide) { return AgentTable(list, wide, now); });
  }
  return Outcome::BadUsage(absl::StrCat("cannot get ", Quote(kind), "; there are pools, services, addresses, agents"));
}

Outcome ExplainObject(Client& client, const Console& console, const std::string& kind, const std::string& name) {
  if (kind == "service") {
    v1::ExplainServiceRequest request;
    if (!SplitServiceName(name, *request.mutable_namespace_(), *request.mutable_name())) return NotAServiceName(name);
    v1::ExplainServiceResponse answer;
    if (Outcome outcome = client.Call(&Stub::ExplainService, request, answer); !outcome.ok()) return outcome;
    if (IsForPrograms(console.output)) return PrintMessage(answer, console);
    console.out << Explain(answer, absl::Now());
    return Outcome::Done();
  }
  if (kind != "address") {
    return Outcome::BadUsage(absl::StrCat("cannot explain ", Quote(kind), "; there are service and address"));
  }
  v1::ExplainAddressRequest request;
  request.set_address(name);
  v1::ExplainAddressResponse answer;
  if (Outcome outcome = client.Call(&Stub::ExplainAddress, request, answer); !outcome.ok()) return outcome;
  if (IsForPrograms(console.output)) return PrintMessage(answer, console);
  console.out << Explain(answer, absl::Now());
  return Outcome::Done();
}

Outcome WatchChanges(Client& client, const Console& console, bool initial) {
  v1::WatchRequest request;
  request.set_send_initial(initial);
  Outcome printed;
  Outcome ended = client.Watch(request, [&](const v1::Change& change) {
    if (console.output == Output::kJson) {
      printed = PrintText(ToJsonLine(change), console);
    } else if (console.output == Output::kYaml) {
      console.out << "---\n";
      printed = PrintMessage(change, console);
    } else if (const std::string line = ChangeLine(change); !line.empty()) {
      console.out << line << "\n";
    }
    console.out.flush();
    return printed.ok() && console.out.good();
  });
  return printed.ok() ? ended : printed;
}

Outcome Doctor(Client& client, const Console& console) {
  v1::DoctorResponse answer;
  if (Outcome outcome = client.Call(&Stub::Doctor, v1::DoctorRequest(), answer); !outcome.ok()) return outcome;
  if (IsForPrograms(console.output)) {
    if (Outcome printed = PrintMessage(answer, console); !printed.ok()) return printed;
  } else if (!answer.findings().empty()) {
    console.out << (console.output == Output::kWide ? FormatTable(FindingTable(answer)) : FindingLines(answer));
  }
  const auto errors = std::count_if(answer.findings().begin(), answer.findings().end(), [](const auto& found) {
    return found.severity() == v1::DoctorResponse::Finding::ERROR;
  });
  const std::string summary =
      absl::StrCat(answer.findings().empty() ? "all is well" : CountsOf(errors, answer.findings_size() - errors),
                   answer.asked() < answer.announced()
                       ? absl::StrCat("; the LAN was asked about ", answer.asked(), " of ", answer.announced(),
                                      " addresses, and is about the next ones with the next call")
                       : std::string());
  if (errors != 0) return Outcome::Refused(summary);
  if (!IsForPrograms(console.output)) console.err << summary << "\n";
  return Outcome::Done();
}

Outcome Dump(Client& client, const Console& console) {
  v1::DumpResponse answer;
  if (Outcome outcome = client.Call(&Stub::Dump, v1::DumpRequest(), answer); !outcome.ok()) return outcome;
  return PrintMessage(answer, console);
}

Outcome ServerVersion(Client& client, const Console& console) {
  v1::GetVersionResponse answer;
  if (Outcome outcome = client.Call(&Stub::GetVersion, v1::GetVersionRequest(), answer); !outcome.ok()) return outcome;
  if (IsForPrograms(console.output)) return PrintMessage(answer, console);
  console.out << Explain(answer);
  return Outcome::Done();
}

}  // namespace berth::ctl
