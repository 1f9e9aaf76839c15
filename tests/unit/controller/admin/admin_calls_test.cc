// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/admin_calls.h"

#include <catch2/catch.hpp>

#include "tests/fakes/fake_admin_backend.h"

namespace berth::admin {
namespace {

IpAddr Ip(const char* text) { return *IpAddr::Parse(text); }

struct World {
  FakeAdminBackend backend;
  CallContext context{backend, absl::FromUnixSeconds(1767323045)};

  World() {
    backend.services[{"default", "web"}] = {.id = {"default", "web"},
                                            .protocol = {},
                                            .pools = {"edge", "edge"},
                                            .addresses = {Ip("192.0.2.1"), Ip("192.0.2.2")},
                                            .state = model::ServiceState::kAssigned,
                                            .reason = "",
                                            .message = "",
                                            .ports = {},
                                            .candidate_pools = {}};
    model::AddressView& address = backend.addresses[Ip("192.0.2.1")];
    address.address = Ip("192.0.2.1");
    address.services = {{"default", "web"}, {"default", "going"}};
    backend.pools["edge"].name = "edge";
    backend.agents["node1"].node = "node1";
  }
};

TEST_CASE("a Service is explained with those of its addresses that are known", "[unit]") {
  World w;
  v1::ExplainServiceRequest request;
  request.set_namespace_("default");
  request.set_name("web");
  v1::ExplainServiceResponse response;
  REQUIRE(Answer(w.context, request, response).ok());
  CHECK(response.service().name() == "web");
  REQUIRE(response.addresses_size() == 1);
  CHECK(response.addresses(0).address() == "192.0.2.1");
}

TEST_CASE("an address is explained with those of its Services that are known", "[unit]") {
  World w;
  v1::ExplainAddressRequest request;
  request.set_address("192.0.2.1");
  v1::ExplainAddressResponse response;
  REQUIRE(Answer(w.context, request, response).ok());
  CHECK(response.address().address() == "192.0.2.1");
  REQUIRE(response.services_size() == 1);
  CHECK(response.services(0).name() == "web");
}

TEST_CASE("orders are judged before they are given on", "[unit]") {
  World w;
  w.backend.refuse = absl::FailedPreconditionError("this controller is a standby: b leads");
  v1::MoveAddressRequest request;
  v1::MoveAddressResponse response;
  CHECK(Answer(w.context, request, response).code() == absl::StatusCode::kInvalidArgument);
  request.set_address("192.0.2.300");
  request.set_node("node1");
  CHECK(Answer(w.context, request, response).code() == absl::StatusCode::kInvalidArgument);
  request.set_address("192.0.2.1");
  request.set_node("Node 1");
  CHECK(Answer(w.context, request, response).code() == absl::StatusCode::kInvalidArgument);
  request.set_node("node1");
  CHECK(Answer(w.context, request, response) == w.backend.refuse);
  v1::DrainNodeRequest drain;
  v1::DrainNodeResponse drained;
  CHECK(Answer(w.context, drain, drained).code() == absl::StatusCode::kInvalidArgument);
  drain.set_node("node1");
  CHECK(Answer(w.context, drain, drained) == w.backend.refuse);
  v1::UndrainNodeRequest undrain;
  v1::UndrainNodeResponse undrained;
  CHECK(Answer(w.context, undrain, undrained).code() == absl::StatusCode::kInvalidArgument);
  undrain.set_node("node1");
  CHECK(Answer(w.context, undrain, undrained) == w.backend.refuse);
  v1::RebalanceResponse rebalanced;
  CHECK(Answer(w.context, v1::RebalanceRequest(), rebalanced) == w.backend.refuse);
  CHECK(w.backend.orders.empty());
}

TEST_CASE("orders are given on whole, and answered with what they do", "[unit]") {
  World w;
  w.backend.addresses[Ip("192.0.2.1")].holder = "node1";
  w.backend.addresses[Ip("192.0.2.2")].address = Ip("192.0.2.2");
  w.backend.addresses[Ip("192.0.2.2")].holder = "node1";
  w.backend.addresses[Ip("192.0.2.2")].refusals = {"node2: no"};
  w.backend.moving = {Ip("192.0.2.1")};
  w.backend.moves = {{Ip("192.0.2.1"), "node1", "node2"}};
  v1::DrainNodeRequest drain;
  drain.set_node("node1");
  v1::DrainNodeResponse drained;
  REQUIRE(Answer(w.context, drain, drained).ok());
  CHECK(drained.agent().node() == "node1");
  REQUIRE(drained.moving_size() == 1);
  CHECK(drained.moving(0) == "192.0.2.1");
  REQUIRE(drained.staying_size() == 1);
  CHECK(drained.staying(0).address() == "192.0.2.2");
  CHECK(drained.staying(0).refusals(0) == "node2: no");
  v1::UndrainNodeRequest undrain;
  undrain.set_node("node1");
  v1::UndrainNodeResponse undrained;
  REQUIRE(Answer(w.context, undrain, undrained).ok());
  CHECK(undrained.agent().node() == "node1");
  v1::MoveAddressRequest move;
  move.set_address("192.0.2.1");
  move.set_node("node2");
  v1::MoveAddressResponse moved;
  REQUIRE(Answer(w.context, move, moved).ok());
  CHECK(moved.address().address() == "192.0.2.1");
  v1::RebalanceRequest rebalance;
  v1::RebalanceResponse rebalanced;
  REQUIRE(Answer(w.context, rebalance, rebalanced).ok());
  REQUIRE(rebalanced.moves_size() == 1);
  CHECK(rebalanced.moves(0).from() == "node1");
  CHECK(rebalanced.moves(0).to() == "node2");
  rebalance.set_dry_run(true);
  v1::RebalanceResponse planned;
  REQUIRE(Answer(w.context, rebalance, planned).ok());
  CHECK(w.backend.orders == std::vector<std::string>{"drain node1", "undrain node1", "move 192.0.2.1 node2",
                                                     "rebalance", "rebalance --dry-run"});
}

TEST_CASE("a dump has every object and the time it was taken", "[unit]") {
  World w;
  w.backend.status.term = 7;
  v1::DumpResponse dump;
  REQUIRE(Answer(w.context, v1::DumpRequest(), dump).ok());
  CHECK(dump.time().seconds() == 1767323045);
  CHECK(dump.status().term() == 7);
  CHECK(dump.pools_size() == 1);
  CHECK(dump.services_size() == 1);
  CHECK(dump.addresses_size() == 1);
  CHECK(dump.agents_size() == 1);
  CHECK(Everything(w.backend).size() == 4);
}

TEST_CASE("a page token that names no address is the caller's error", "[unit]") {
  World w;
  v1::ListAddressesRequest request;
  request.set_page_size(1);
  w.backend.addresses[Ip("192.0.2.2")].address = Ip("192.0.2.2");
  v1::ListAddressesResponse first, second, third;
  REQUIRE(Answer(w.context, request, first).ok());
  request.set_page_token(first.next_page_token());
  REQUIRE(Answer(w.context, request, second).ok());
  CHECK(second.addresses(0).address() == "192.0.2.2");
  CHECK(second.next_page_token().empty());
  request.set_page_token("MTphZGRyZXNzZXM6bm93aGVyZQ");  // 1:addresses:nowhere
  CHECK(Answer(w.context, request, third).code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::admin
