// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/orders.h"

#include <functional>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/berthctl/arrivals.h"
#include "tools/berthctl/rows.h"
#include "tools/berthctl/table.h"

namespace berth::ctl {
namespace {

using Stub = Client::Stub;

// More than the server lets pass between two moves of a rebalance.
constexpr std::chrono::milliseconds kOneMove(200);

// Gives an order by `give`, which says what shall arrive, once every change after it is sure to be seen; then waits.
Outcome GiveAndWait(Client& client, const Console& console, std::chrono::milliseconds limit,
                    const std::function<Outcome(Arrivals&)>& give) {
  Arrivals arrivals;
  Outcome given = Outcome::Done();
  bool begun = false;
  const auto deadline = std::chrono::system_clock::now() + limit;
  const Outcome watched = client.Watch(
      v1::WatchRequest(),
      [&](const v1::Change& change) {
        if (change.kind() == v1::Change::SYNCED) {
          begun = true;
          given = give(arrivals);
          if (!given.ok()) return false;
        } else if (const std::string line = arrivals.Take(change); !line.empty() && !IsForPrograms(console.output)) {
          console.out << line << "\n" << std::flush;
        }
        return !arrivals.done();
      },
      deadline);
  if (!given.ok()) return given;
  if (!arrivals.forgotten().empty()) {
    std::string what = absl::StrJoin(arrivals.forgotten(), "; ");
    if (arrivals.done()) return Outcome::Refused(std::move(what));
    absl::StrAppend(&what, "; not moved yet: ", arrivals.Missing());
    if (std::chrono::system_clock::now() >= deadline) return Outcome::Refused(std::move(what));
    return {watched.code, absl::StrCat(what, ": ", watched.message)};
  }
  if (begun && arrivals.done()) return Outcome::Done();
  if (!begun) return watched;
  if (std::chrono::system_clock::now() >= deadline) {
    return Outcome::Refused(absl::StrCat(
        "not moved within ", std::chrono::duration_cast<std::chrono::seconds>(limit).count(),
        " s: ", arrivals.Missing(), "; berthctl explain address tells why; the order stands while it can be obeyed"));
  }
  return {watched.code, absl::StrCat("the order was taken, but then: ", watched.message)};
}

// Without a watch: what would arrive is not looked at.
Outcome Give(const std::function<Outcome(Arrivals&)>& give) {
  Arrivals ignored;
  return give(ignored);
}

Outcome Obey(Client& client, const Console& console, const Patience& patience, std::chrono::milliseconds limit,
             const std::function<Outcome(Arrivals&)>& give) {
  return patience.wait ? GiveAndWait(client, console, limit, give) : Give(give);
}

template <typename Request, typename Response>
Outcome Ask(Client& client, const Console& console, Client::Method<Request, Response> method, const Request& request,
            Response& response) {
  if (Outcome outcome = client.Call(method, request, response); !outcome.ok()) return outcome;
  return IsForPrograms(console.output) ? PrintMessage(response, console) : Outcome::Done();
}

void Warn(const Console& console, const std::string& warning) {
  if (!warning.empty()) console.err << "berthctl: warning: " << warning << "\n";
}

std::string Count(int n) { return n == 1 ? "1 address" : absl::StrCat(n, " addresses"); }

// "192.168.50.50 stays: node2: interface eth0 has no carrier"
std::string StayLine(const v1::Address& address) {
  const std::string why = address.refusals().empty() ? address.message() : absl::StrJoin(address.refusals(), "; ");
  return absl::StrCat(address.address(), " stays: ", why.empty() ? "there is no other node" : why);
}

}  // namespace

Outcome Drain(Client& client, const Console& console, const std::string& node, const Patience& patience) {
  v1::DrainNodeRequest request;
  request.set_node(node);
  v1::DrainNodeResponse response;
  const Outcome outcome = Obey(client, console, patience, patience.limit, [&](Arrivals& arrivals) {
    if (Outcome asked = Ask(client, console, &Stub::DrainNode, request, response); !asked.ok()) return asked;
    for (const std::string& address : response.moving()) arrivals.AwaitAwayFrom(node, address);
    return Outcome::Done();
  });
  Warn(console, response.warning());
  if (!outcome.ok()) return outcome;
  const bool for_people = !IsForPrograms(console.output);
  if (for_people) {
    console.out << "node " << node << (patience.wait ? " is drained: " : " is draining: ")
                << Count(response.moving_size()) << (patience.wait ? " moved\n" : " moving\n");
  }
  if (response.staying().empty()) return Outcome::Done();
  if (for_people) {
    for (const v1::Address& address : response.staying()) console.err << StayLine(address) << "\n";
  }
  return Outcome::Refused(
      absl::StrCat(Count(response.staying_size()), response.staying_size() == 1 ? " stays" : " stay", " with ", node,
                   ", since no other node can hold ", response.staying_size() == 1 ? "it" : "them"));
}

Outcome Undrain(Client& client, const Console& console, const std::string& node) {
  v1::UndrainNodeRequest request;
  request.set_node(node);
  v1::UndrainNodeResponse response;
  if (Outcome asked = Ask(client, console, &Stub::UndrainNode, request, response); !asked.ok()) return asked;
  Warn(console, response.warning());
  if (!IsForPrograms(console.output)) console.out << "node " << node << " may hold addresses again\n";
  return Outcome::Done();
}

Outcome Move(Client& client, const Console& console, const std::string& address, const std::string& node,
             const Patience& patience) {
  v1::MoveAddressRequest request;
  request.set_address(address);
  request.set_node(node);
  v1::MoveAddressResponse response;
  bool there = false;
  const Outcome outcome = Obey(client, console, patience, patience.limit, [&](Arrivals& arrivals) {
    if (Outcome asked = Ask(client, console, &Stub::MoveAddress, request, response); !asked.ok()) return asked;
    there = Arrivals::Announces(response.address(), node);
    if (!there) arrivals.AwaitAt(node, response.address().address());
    return Outcome::Done();
  });
  if (!outcome.ok() || IsForPrograms(console.output)) return outcome;
  if (there) {
    console.out << address << " is with " << node << " already\n";
  } else if (!patience.wait) {
    console.out << address << " is moving to " << node << "\n";
  }
  return Outcome::Done();
}

Outcome Rebalance(Client& client, const Console& console, bool dry_run, const Patience& patience) {
  v1::RebalanceRequest request;
  request.set_dry_run(true);
  v1::RebalanceResponse planned, response;
  if (Outcome asked = client.Call(&Stub::Rebalance, request, planned); !asked.ok()) return asked;
  if (dry_run) {
    if (IsForPrograms(console.output)) return PrintMessage(planned, console);
    response = planned;
  } else {
    request.set_dry_run(false);
    const auto limit = patience.limit + kOneMove * planned.moves_size();
    const Outcome outcome = Obey(client, console, patience, limit, [&](Arrivals& arrivals) {
      if (Outcome asked = Ask(client, console, &Stub::Rebalance, request, response); !asked.ok()) return asked;
      for (const auto& move : response.moves()) arrivals.AwaitAt(move.to(), move.address());
      return Outcome::Done();
    });
    if (!outcome.ok() || IsForPrograms(console.output)) return outcome;
  }
  if (response.moves().empty()) {
    console.err << "the load is even already\n";
  } else if (dry_run || !patience.wait) {
    console.out << FormatTable(MoveTable(response));
  } else {
    console.out << Count(response.moves_size()) << " moved\n";
  }
  return Outcome::Done();
}

}  // namespace berth::ctl
