// SPDX-License-Identifier: Apache-2.0
// The berthctl binary and orders: what it gives on, how it waits, what it prints and how it exits.
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "tests/contract/admin_harness.h"
#include "tests/contract/run_berthctl.h"

namespace berth {
namespace {

using Json = nlohmann::json;

constexpr char kVip[] = "192.168.50.50";

// The fake controller's address moves once somebody has ordered it, who watches by then. A plan is not yet an order.
void MoveOnOrder(FakeAdminBackend& backend, RealEventLoop& loop, const std::string& to) {
  loop.RunAfter(absl::Milliseconds(20), [&backend, &loop, to] {
    const bool ordered = !backend.orders.empty() && !absl::EndsWith(backend.orders.back(), "--dry-run");
    if (!ordered) return MoveOnOrder(backend, loop, to);
    model::AddressView& address = backend.addresses[Ip(kVip)];
    address.holder = to;
    model::ChangeView change;
    change.address = address;
    backend.Announce(change);
  });
}

std::vector<std::string> OrdersOf(AdminStage& stage) {
  std::vector<std::string> orders;
  stage.OnLoop([&](FakeAdminBackend& backend) { orders = backend.orders; });
  return orders;
}

TEST_CASE("berthctl drain waits until every address has moved, and tells of each", "[contract]") {
  AdminStage stage(FillSmallCluster);
  stage.OnLoop([&](FakeAdminBackend& backend) {
    backend.moving = {Ip(kVip)};
    MoveOnOrder(backend, stage.loop(), "node2");
  });
  const Ran ran = RunOn(stage, "drain node1");
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  CHECK(ran.out == "192.168.50.50 moved to node2\nnode node1 is drained: 1 address moved\n");
  CHECK(OrdersOf(stage) == std::vector<std::string>{"drain node1"});
}

TEST_CASE("berthctl drain says which addresses stay and why, and exits with 1", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const Ran ran = RunOn(stage, "drain node1");
  CHECK(ran.code == 1);
  CHECK(ran.out == "node node1 is drained: 0 addresses moved\n");
  CHECK(ran.err ==
        "192.168.50.50 stays: node2: interface eth0 has no carrier\n"
        "berthctl: 1 address stays with node1, since no other node can hold it\n");
  const Ran json = RunOn(stage, "drain node1 -o json");
  CHECK(json.code == 1);
  const Json answer = Json::parse(json.out, nullptr, false);
  REQUIRE(answer.is_object());
  CHECK(answer["agent"]["node"] == "node1");
  CHECK(answer["moving"] == Json::array());
  CHECK(answer["staying"][0]["refusals"][0] == "node2: interface eth0 has no carrier");
}

TEST_CASE("berthctl warns of a drain that might be forgotten", "[contract]") {
  AdminStage stage(FillSmallCluster);
  stage.OnLoop([](FakeAdminBackend& backend) {
    backend.record = absl::UnavailableError("no room on the disk");
    backend.addresses.clear();
  });
  for (const char* order : {"drain node1", "undrain node1", "drain node1 -o json"}) {
    const Ran ran = RunOn(stage, order);
    CHECK(ran.code == 0);
    CHECK(absl::StartsWith(ran.err, "berthctl: warning: the order is obeyed, but not on record yet"));
    CHECK(absl::EndsWith(ran.err, "no room on the disk\n"));
  }
}

TEST_CASE("berthctl gives up waiting in time, though the order stands", "[contract]") {
  AdminStage stage(FillSmallCluster);
  stage.OnLoop([&](FakeAdminBackend& backend) { backend.moving = {Ip(kVip)}; });
  const Ran ran = RunOn(stage, "drain node1 --timeout=1");
  CHECK(ran.code == 1);
  CHECK(absl::StrContains(ran.err, "not moved within 1 s: 192.168.50.50"));
  const Ran unwatched = RunOn(stage, "drain node1 --no-wait");
  CHECK(unwatched.code == 0);
  CHECK(unwatched.out == "node node1 is draining: 1 address moving\n");
  CHECK(OrdersOf(stage).size() == 2);
}

TEST_CASE("berthctl that waits when the controller goes exits with 3 and says that the order was taken", "[contract]") {
  AdminStage stage(FillSmallCluster);
  stage.OnLoop([&](FakeAdminBackend& backend) { backend.moving = {Ip(kVip)}; });
  BerthctlProcess process(stage, "drain node1");
  while (OrdersOf(stage).empty()) std::this_thread::yield();
  stage.Shutdown();
  const Ran ran = process.Wait();
  CHECK(ran.code == 3);
  CHECK(absl::StrContains(ran.err, "the order was taken, but then: cannot reach the controller"));
}

TEST_CASE("berthctl undrain needs no patience", "[contract]") {
  AdminStage stage(FillSmallCluster);
  const Ran ran = RunOn(stage, "undrain node1");
  CHECK(ran.code == 0);
  CHECK(ran.out == "node node1 may hold addresses again\n");
  CHECK(OrdersOf(stage) == std::vector<std::string>{"undrain node1"});
  const Json answer = Json::parse(RunOn(stage, "undrain node1 -o json").out, nullptr, false);
  CHECK(answer["agent"]["node"] == "node1");
}

TEST_CASE("berthctl move waits until the node answers for the address", "[contract]") {
  AdminStage stage(FillSmallCluster);
  stage.OnLoop([&](FakeAdminBackend& backend) { MoveOnOrder(backend, stage.loop(), "node2"); });
  const Ran ran = RunOn(stage, "move 192.168.50.50 node2");
  CHECK(ran.code == 0);
  CHECK(ran.out == "192.168.50.50 moved to node2\n");
  CHECK(OrdersOf(stage) == std::vector<std::string>{"move 192.168.50.50 node2"});
  const Ran there = RunOn(stage, "move 192.168.50.50 node2");
  CHECK(there.code == 0);
  CHECK(there.out == "192.168.50.50 is with node2 already\n");
}

// The fake controller takes the order, and has it no more a moment later. Told in turn until it is heard: who watches
// gets the newest only.
void ForgetOrder(FakeAdminBackend& backend, RealEventLoop& loop, const std::string& why, const std::string& other,
                 bool has = true) {
  loop.RunAfter(absl::Milliseconds(20), [&backend, &loop, why, other, has] {
    if (backend.orders.empty()) return ForgetOrder(backend, loop, why, other);
    model::ChangeView change;
    change.address = backend.addresses[Ip(kVip)];
    change.address->ordered = has ? "node2" : other;
    if (!has && !why.empty()) change.address->refusals = {"node1: it is too warm", why};
    backend.Announce(change);
    ForgetOrder(backend, loop, why, other, !has);
  });
}

TEST_CASE("berthctl move does not wait for an order that the controller has forgotten, and says why", "[contract]") {
  AdminStage stage(FillSmallCluster);
  std::string why, other, expected;
  SECTION("the node can hold it no longer") {
    why = "node2: its agent is lost";
    expected = why;
  }
  SECTION("somebody else has ordered otherwise") {
    other = "node3";
    expected = "another one moves it to node3";
  }
  stage.OnLoop([&](FakeAdminBackend& backend) { ForgetOrder(backend, stage.loop(), why, other); });
  const Ran ran = RunOn(stage, "move 192.168.50.50 node2");
  CHECK(ran.code == 1);
  CHECK(ran.out.empty());
  CHECK(ran.err == "berthctl: the order to move 192.168.50.50 to node2 is forgotten: " + expected + "\n");
}

TEST_CASE("berthctl rebalance --dry-run prints the plan and orders nothing", "[contract]") {
  AdminStage stage(FillSmallCluster);
  CHECK(RunOn(stage, "rebalance --dry-run").err == "the load is even already\n");
  stage.OnLoop([&](FakeAdminBackend& backend) { backend.moves = {{Ip(kVip), "node1", "node2"}}; });
  const Ran ran = RunOn(stage, "rebalance --dry-run");
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  CHECK(ran.out ==
        "ADDRESS         FROM    TO\n"
        "192.168.50.50   node1   node2\n");
  const Json plan = Json::parse(RunOn(stage, "rebalance --dry-run -o json").out, nullptr, false);
  CHECK(plan["moves"][0]["to"] == "node2");
  for (const std::string& order : OrdersOf(stage)) CHECK(order == "rebalance --dry-run");

  stage.OnLoop([&](FakeAdminBackend& backend) {
    backend.orders.clear();
    MoveOnOrder(backend, stage.loop(), "node2");
  });
  const Ran done = RunOn(stage, "rebalance");
  CHECK(done.code == 0);
  CHECK(done.out == "192.168.50.50 moved to node2\n1 address moved\n");
}

TEST_CASE("orders that a standby declines exit with 1 and name the leader", "[contract]") {
  AdminStage stage(FillSmallCluster);
  stage.OnLoop([&](FakeAdminBackend& backend) {
    backend.refuse = absl::FailedPreconditionError("this controller is a standby: ctl-2 leads, ask that one");
  });
  for (const char* order : {"drain node1", "undrain node1", "move 192.168.50.50 node2", "rebalance"}) {
    CAPTURE(order);
    const Ran ran = RunOn(stage, order);
    CHECK(ran.code == 1);
    CHECK(ran.out.empty());
    CHECK(ran.err == "berthctl: this controller is a standby: ctl-2 leads, ask that one\n");
  }
}

}  // namespace
}  // namespace berth
