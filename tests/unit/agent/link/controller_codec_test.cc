// SPDX-License-Identifier: Apache-2.0
#include "agent/link/controller_codec.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "controller/push/agent_codec.h"
#include "tests/unit/common/sync/message_generator.h"

namespace berth::agent {
namespace {

v1::ControllerMessage GoodSnapshot() {
  sync::Snapshot snapshot;
  snapshot.assignments.emplace_back().address = IpAddr::V4(0xc0000201);
  return push::ToProto(snapshot);
}

v1::Assignment& FirstOf(v1::ControllerMessage& message) { return *message.mutable_snapshot()->mutable_assignments(0); }

std::string Problem(const v1::ControllerMessage& message) { return std::string(FromProto(message).status().message()); }

TEST_CASE("whatever the controller says arrives at the agent as it was said", "[unit]") {
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    CAPTURE(seed);
    const sync::ControllerMessage said = sync::MessageGenerator(seed).Controller();
    v1::ControllerMessage carried;
    REQUIRE(carried.ParseFromString(push::ToProto(said).SerializeAsString()));
    const absl::StatusOr<sync::ControllerMessage> heard = FromProto(carried);
    CAPTURE(heard.status().ToString());
    REQUIRE(heard.ok());
    CHECK(*heard == said);
  }
}

TEST_CASE("a broken rule of the controller is told with the name of its field", "[unit]") {
  using Breaker = std::function<void(v1::ControllerMessage&)>;
  const std::vector<std::pair<Breaker, std::string>> cases = {
      {[](auto& m) { m.clear_payload(); }, "payload: "},
      {[](auto& m) { m.mutable_snapshot()->clear_settings(); }, "snapshot.settings.heartbeat: "},
      {[](auto& m) { m.mutable_snapshot()->mutable_settings()->mutable_agent_timeout()->set_seconds(3601); },
       "snapshot.settings.agent_timeout: "},
      {[](auto& m) { FirstOf(m).clear_address(); }, "snapshot.assignments[0].address: "},
      {[](auto& m) { FirstOf(m).clear_role(); }, "snapshot.assignments[0].role: must be"},
      {[](auto& m) { FirstOf(m).set_role(static_cast<v1::Role>(9)); }, "snapshot.assignments[0].role: must be"},
      {[](auto& m) { FirstOf(m).clear_protocol(); }, "snapshot.assignments[0].protocol: must be"},
      {[](auto& m) { FirstOf(m).add_candidates(); }, "snapshot.assignments[0].candidates[0].node: "},
      {[](auto& m) { FirstOf(m).add_yield_to("zz"); }, "snapshot.assignments[0].yield_to[0]: "},
      {[](auto& m) { FirstOf(m).add_services(); }, "snapshot.assignments[0].services[0].name: "},
      {[](auto& m) {
         auto* service = FirstOf(m).add_services();
         service->set_name("web");
         auto* port = service->add_ports();
         port->set_protocol("TCP");
         port->set_port(65536);
       },
       "snapshot.assignments[0].services[0].ports[0].port: "},
      {[](auto& m) {
         auto* service = FirstOf(m).add_services();
         service->set_name("web");
         service->add_ports()->set_protocol("tcp");
       },
       "snapshot.assignments[0].services[0].ports[0].protocol: "},
      {[](auto& m) { m.mutable_snapshot()->add_removals()->set_address(""); }, "snapshot.removals[0].address: "},
      {[](auto& m) { m.mutable_delta()->add_upserts()->set_address("x"); }, "delta.upserts[0].address: "},
      {[](auto& m) { m.mutable_probe_request()->set_id(1); }, "probe_request.kind: "},
      {[](auto& m) { m.mutable_probe_request()->set_kind(v1::PROBE_KIND_TAKE_OVER); }, "probe_request.timeout: "},
      {[](auto& m) { m.mutable_superseded()->set_message(std::string(1025, 'x')); }, "superseded.message: 1025 bytes"},
  };
  REQUIRE(FromProto(GoodSnapshot()).ok());
  for (const auto& [breaker, problem] : cases) {
    v1::ControllerMessage message = GoodSnapshot();
    breaker(message);
    CAPTURE(problem);
    CHECK(FromProto(message).status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(Problem(message), Catch::StartsWith(problem));
  }
}

TEST_CASE("texts that the wire does not take are made fit, so that no agent is cut off for one", "[unit]") {
  sync::Rejected said;
  said.rejections.emplace_back().message = std::string(5000, 'x') + "\xff";
  said.rejections.emplace_back().message = "a\xff";
  v1::AgentMessage carried;
  REQUIRE(carried.ParseFromString(ToProto(said).SerializeAsString()));
  const absl::StatusOr<sync::AgentMessage> heard = push::FromProto(carried);
  REQUIRE(heard.ok());
  const auto& rejections = std::get<sync::Rejected>(*heard).rejections;
  CHECK(rejections.at(0).message == std::string(1024, 'x'));
  CHECK(rejections.at(1).message == "a?");
}

}  // namespace
}  // namespace berth::agent
