// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/rows.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace berth::ctl {
namespace {

template <typename Strings>
std::vector<std::string> ToVector(const Strings& strings) {
  return {strings.begin(), strings.end()};
}

template <typename Strings>
std::string CommaOf(const Strings& strings) {
  return Comma(ToVector(strings));
}

// Addresses of two families may come from one pool: it is named once.
std::string PoolsOf(const v1::Service& service) {
  std::vector<std::string> pools;
  for (const std::string& pool : service.pools()) {
    if (std::find(pools.begin(), pools.end(), pool) == pools.end()) pools.push_back(pool);
  }
  return Comma(pools);
}

std::string ExternalIpOf(const v1::Service& service) {
  if (service.addresses().empty() && service.state() == v1::Service::PENDING) return "<pending>";
  return CommaOf(service.addresses());
}

std::string InterfacesOf(const v1::Agent& agent) {
  std::vector<std::string> interfaces;
  for (const v1::Interface& i : agent.interfaces()) {
    interfaces.push_back(absl::StrCat(i.name(), i.up() ? "" : "(down)"));
    if (i.up() && !i.prefixes().empty()) absl::StrAppend(&interfaces.back(), "(", CommaOf(i.prefixes()), ")");
  }
  return Comma(interfaces);
}

void AddWide(bool wide, std::vector<std::string>& cells, std::vector<std::string> more) {
  if (!wide) return;
  for (std::string& cell : more) cells.push_back(std::move(cell));
}

std::string Summary(const v1::Service& service) {
  std::string text = StateWord(service);
  if (!service.addresses().empty()) absl::StrAppend(&text, " ", CommaOf(service.addresses()));
  if (!service.reason().empty()) absl::StrAppend(&text, " ", service.reason());
  if (!service.message().empty()) absl::StrAppend(&text, ": ", service.message());
  return text;
}

std::string Summary(const v1::Address& address) {
  std::string text = StateWord(address);
  if (!address.holder().empty()) absl::StrAppend(&text, " by ", address.holder());
  if (!address.message().empty()) absl::StrAppend(&text, ": ", address.message());
  return text;
}

std::string Summary(const v1::Agent& agent) {
  std::string text = absl::StrCat(StateWord(agent), ", ", agent.announced_size(), " announced");
  if (!agent.message().empty()) absl::StrAppend(&text, ": ", agent.message());
  return text;
}

std::string Summary(const v1::Pool& pool) {
  std::string text = absl::StrCat(pool.used(), " of ", pool.total(), " in use", pool.disabled() ? ", disabled" : "");
  if (!pool.message().empty()) absl::StrAppend(&text, ": ", pool.message());
  return text;
}

}  // namespace

std::string StateWord(const v1::Service& service) { return v1::Service::State_Name(service.state()); }
std::string StateWord(const v1::Address& address) { return v1::Address::State_Name(address.state()); }
std::string StateWord(const v1::Agent& agent) { return v1::Agent::State_Name(agent.state()); }

std::string AgeOf(bool present, const google::protobuf::Timestamp& since, absl::Time now) {
  if (!present) return "<unknown>";
  return FormatAge(now - absl::FromUnixSeconds(since.seconds()) - absl::Nanoseconds(since.nanos()));
}

Table PoolTable(const v1::ListPoolsResponse& list, bool wide) {
  Table table;
  table.header = {"NAME", "CIDR", "USAGE", "TOTAL"};
  AddWide(wide, table.header, {"PROTOCOL", "INTERFACE", "DISABLED", "CONFLICTED", "MESSAGE"});
  for (const v1::Pool& pool : list.pools()) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {pool.name(), pool.range(), pool.used(), pool.total()};
    AddWide(wide, row,
            {pool.protocol(), pool.interface(), pool.disabled() ? "true" : "false", CommaOf(pool.conflicted()),
             pool.message()});
  }
  return table;
}

Table ServiceTable(const v1::ListServicesResponse& list, bool wide) {
  Table table;
  table.header = {"NAMESPACE", "NAME", "STATE", "EXTERNAL-IP", "POOL", "REASON"};
  AddWide(wide, table.header, {"PORTS", "MESSAGE"});
  for (const v1::Service& service : list.services()) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {service.namespace_(),  service.name(),   StateWord(service),
           ExternalIpOf(service), PoolsOf(service), service.reason()};
    AddWide(wide, row, {CommaOf(service.ports()), service.message()});
  }
  return table;
}

Table AddressTable(const v1::ListAddressesResponse& list, bool wide, absl::Time now) {
  Table table;
  table.header = {"ADDRESS", "POOL", "PROTOCOL", "STATE", "HOLDER", "SERVICES", "AGE"};
  AddWide(wide, table.header, {"CANDIDATES", "MESSAGE"});
  for (const v1::Address& address : list.addresses()) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {address.address(),
           address.pool(),
           address.protocol(),
           StateWord(address),
           address.holder(),
           CommaOf(address.services()),
           AgeOf(address.has_since(), address.since(), now)};
    AddWide(wide, row, {CommaOf(address.candidates()), address.message()});
  }
  return table;
}

Table AgentTable(const v1::ListAgentsResponse& list, bool wide, absl::Time now) {
  Table table;
  table.header = {"NODE", "STATE", "VERSION", "ANNOUNCED", "LAST-HEARTBEAT"};
  AddWide(wide, table.header, {"INTERFACES", "MESSAGE"});
  for (const v1::Agent& agent : list.agents()) {
    std::vector<std::string>& row = table.rows.emplace_back();
    row = {agent.node(), StateWord(agent), agent.version(), absl::StrCat(agent.announced_size()),
           AgeOf(agent.has_last_heartbeat(), agent.last_heartbeat(), now)};
    AddWide(wide, row, {InterfacesOf(agent), agent.message()});
  }
  return table;
}

Table MoveTable(const v1::RebalanceResponse& moves) {
  Table table;
  table.header = {"ADDRESS", "FROM", "TO"};
  for (const auto& move : moves.moves()) table.rows.push_back({move.address(), move.from(), move.to()});
  return table;
}

Table FindingTable(const v1::DoctorResponse& findings) {
  Table table;
  table.header = {"SEVERITY", "OBJECT", "MESSAGE", "CURE"};
  for (const auto& found : findings.findings()) {
    table.rows.push_back(
        {v1::DoctorResponse::Finding::Severity_Name(found.severity()), found.object(), found.message(), found.cure()});
  }
  return table;
}

std::string FindingLines(const v1::DoctorResponse& findings) {
  std::string text;
  for (const auto& found : findings.findings()) {
    absl::StrAppendFormat(&text, "%-9s%s: %s\n%-9s-> %s\n",
                          v1::DoctorResponse::Finding::Severity_Name(found.severity()), found.object(), found.message(),
                          "", found.cure());
  }
  return text;
}

std::string ChangeLine(const v1::Change& change) {
  std::string name, summary;
  switch (change.object_case()) {
    case v1::Change::kPool:
      name = absl::StrCat("pool ", change.pool().name());
      summary = Summary(change.pool());
      break;
    case v1::Change::kService:
      name = absl::StrCat("service ", change.service().namespace_(), "/", change.service().name());
      summary = Summary(change.service());
      break;
    case v1::Change::kAddress:
      name = absl::StrCat("address ", change.address().address());
      summary = Summary(change.address());
      break;
    case v1::Change::kAgent:
      name = absl::StrCat("agent ", change.agent().node());
      summary = Summary(change.agent());
      break;
    case v1::Change::OBJECT_NOT_SET:
      return "";
  }
  if (change.kind() == v1::Change::GONE) summary.clear();
  return absl::StrFormat("%-9s %s%s%s", v1::Change::Kind_Name(change.kind()), name, summary.empty() ? "" : ": ",
                         summary);
}

}  // namespace berth::ctl
