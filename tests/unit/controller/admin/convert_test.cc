// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/convert.h"

#include <catch2/catch.hpp>

namespace berth::admin {
namespace {

IpAddr Ip(const char* text) { return *IpAddr::Parse(text); }

TEST_CASE("a pool keeps every field, counts as decimal text", "[unit]") {
  model::PoolView view;
  view.name = "edge";
  view.range = "2001:db8::/64";
  view.interface = "eth0";
  view.protocol = model::Protocol::kVip;
  view.disabled = true;
  view.used = AddressCount(3);
  view.total = AddressCount::TwoTo128();
  view.conflicted = {Ip("2001:db8::1")};
  view.message = "spec.address overlaps pool \"lab\"";
  const v1::Pool pool = ToProto(view);
  CHECK(pool.name() == "edge");
  CHECK(pool.range() == "2001:db8::/64");
  CHECK(pool.interface() == "eth0");
  CHECK(pool.protocol() == "vip");
  CHECK(pool.disabled());
  CHECK(pool.used() == "3");
  CHECK(pool.total() == "340282366920938463463374607431768211456");
  REQUIRE(pool.conflicted_size() == 1);
  CHECK(pool.conflicted(0) == "2001:db8::1");
  CHECK(pool.message() == view.message);
}

TEST_CASE("a Service keeps every field, and a protocol that nothing tells is empty", "[unit]") {
  model::ServiceView view;
  view.id = {"default", "web"};
  view.state = model::ServiceState::kPending;
  view.reason = "PoolExhausted";
  view.message = "pool \"edge\" is full";
  view.ports = {"80/TCP"};
  view.pools = {"edge"};
  view.addresses = {Ip("192.0.2.1")};
  view.candidate_pools = {"edge", "lab"};
  v1::Service service = ToProto(view);
  CHECK(service.namespace_() == "default");
  CHECK(service.name() == "web");
  CHECK(service.protocol().empty());
  CHECK(service.state() == v1::Service::PENDING);
  CHECK(service.reason() == "PoolExhausted");
  CHECK(service.message() == view.message);
  CHECK(service.ports(0) == "80/TCP");
  CHECK(service.pools(0) == "edge");
  CHECK(service.addresses(0) == "192.0.2.1");
  CHECK(service.candidate_pools_size() == 2);

  view.protocol = model::Protocol::kLayer2;
  view.state = model::ServiceState::kAssigned;
  service = ToProto(view);
  CHECK(service.protocol() == "layer2");
  CHECK(service.state() == v1::Service::ASSIGNED);
  view.state = model::ServiceState::kIgnored;
  CHECK(ToProto(view).state() == v1::Service::IGNORED);
}

TEST_CASE("an address keeps every field, and a time that is not known is absent", "[unit]") {
  model::AddressView view;
  view.address = Ip("192.0.2.1");
  view.pool = "edge";
  view.services = {{"default", "web"}, {"default", "dns"}};
  view.holder = "node1";
  view.candidates = {"node1", "node2"};
  view.refusals = {"node3: no carrier"};
  view.message = "m";
  const auto state = GENERATE(table<model::AddressState, v1::Address::State>({
      {model::AddressState::kProbing, v1::Address::PROBING},
      {model::AddressState::kAnnounced, v1::Address::ANNOUNCED},
      {model::AddressState::kUnheld, v1::Address::UNHELD},
      {model::AddressState::kConflict, v1::Address::CONFLICT},
  }));
  view.state = std::get<0>(state);
  v1::Address address = ToProto(view);
  CHECK(address.address() == "192.0.2.1");
  CHECK(address.pool() == "edge");
  CHECK(address.protocol() == "layer2");
  CHECK(address.services(1) == "default/dns");
  CHECK(address.holder() == "node1");
  CHECK(address.candidates_size() == 2);
  CHECK(address.refusals(0) == "node3: no carrier");
  CHECK(address.message() == "m");
  CHECK(address.state() == std::get<1>(state));
  CHECK_FALSE(address.has_since());

  view.since = absl::FromUnixMillis(1767323045250);
  address = ToProto(view);
  CHECK(address.since().seconds() == 1767323045);
  CHECK(address.since().nanos() == 250000000);
}

TEST_CASE("an agent keeps every field", "[unit]") {
  model::AgentView view;
  view.node = "node1";
  view.version = "0.1.0";
  view.message = "m";
  view.announced = {Ip("192.0.2.1")};
  view.interfaces = {{.name = "eth0",
                      .mac = *MacAddr::Parse("02:00:00:00:00:01"),
                      .up = true,
                      .prefixes = {*Cidr::Parse("192.0.2.9/24")},
                      .gateways = {},
                      .routes = {}}};
  const auto state = GENERATE(table<model::AgentState, v1::Agent::State>({
      {model::AgentState::kReady, v1::Agent::READY},
      {model::AgentState::kDraining, v1::Agent::DRAINING},
      {model::AgentState::kControlLost, v1::Agent::CONTROL_LOST},
      {model::AgentState::kLost, v1::Agent::LOST},
      {model::AgentState::kRejected, v1::Agent::REJECTED},
  }));
  view.state = std::get<0>(state);
  const v1::Agent agent = ToProto(view);
  CHECK(agent.node() == "node1");
  CHECK(agent.state() == std::get<1>(state));
  CHECK(agent.version() == "0.1.0");
  CHECK(agent.message() == "m");
  CHECK(agent.announced(0) == "192.0.2.1");
  REQUIRE(agent.interfaces_size() == 1);
  CHECK(agent.interfaces(0).name() == "eth0");
  CHECK(agent.interfaces(0).mac() == "02:00:00:00:00:01");
  CHECK(agent.interfaces(0).up());
  CHECK(agent.interfaces(0).prefixes(0) == "192.0.2.9/24");
  CHECK_FALSE(agent.has_last_heartbeat());
}

TEST_CASE("times before 1970 keep their nanoseconds positive, impossible ones are refused", "[unit]") {
  google::protobuf::Timestamp out;
  REQUIRE(ToTimestamp(absl::UnixEpoch() - absl::Milliseconds(1), out));
  CHECK(out.seconds() == -1);
  CHECK(out.nanos() == 999000000);
  CHECK_FALSE(ToTimestamp(absl::InfinitePast(), out));
  CHECK_FALSE(ToTimestamp(absl::InfiniteFuture(), out));
  CHECK_FALSE(ToTimestamp(absl::FromUnixSeconds(253402300800), out));
  CHECK(ToTimestamp(absl::FromUnixSeconds(253402300799), out));
}

TEST_CASE("names that Kubernetes would not take are refused by field", "[unit]") {
  CHECK(CheckName("node", "node-1.example").ok());
  CHECK(CheckName("node", std::string(253, 'a')).ok());
  CHECK(CheckName("node", "").message() == "node is empty");
  CHECK(CheckName("node", std::string(254, 'a')).code() == absl::StatusCode::kInvalidArgument);
  CHECK(CheckName("node", "Node").code() == absl::StatusCode::kInvalidArgument);
  CHECK(CheckName("node", "a/b").code() == absl::StatusCode::kInvalidArgument);
  CHECK(CheckName("node", "a\n").code() == absl::StatusCode::kInvalidArgument);
  CHECK(ParseObjectId("default", "web")->ToString() == "default/web");
  CHECK_FALSE(ParseObjectId("default", "").ok());
  CHECK_FALSE(ParseObjectId("", "web").ok());
}

}  // namespace
}  // namespace berth::admin
