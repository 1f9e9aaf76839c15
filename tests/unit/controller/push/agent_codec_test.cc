// SPDX-License-Identifier: Apache-2.0
#include "controller/push/agent_codec.h"

#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "agent/link/controller_codec.h"
#include "tests/unit/common/sync/message_generator.h"

namespace berth::push {
namespace {

namespace v1 = agent::v1;

v1::AgentMessage GoodHello() {
  v1::AgentMessage message;
  message.mutable_hello()->set_node("a");
  message.mutable_hello()->set_instance_id("1");
  return message;
}

std::string Problem(const v1::AgentMessage& message) { return std::string(FromProto(message).status().message()); }

TEST_CASE("whatever an agent says arrives at the controller as it was said", "[unit]") {
  for (std::uint64_t seed = 0; seed < 600; ++seed) {
    CAPTURE(seed);
    const sync::AgentMessage said = sync::MessageGenerator(seed).Agent();
    v1::AgentMessage carried;
    REQUIRE(carried.ParseFromString(agent::ToProto(said).SerializeAsString()));
    const absl::StatusOr<sync::AgentMessage> heard = FromProto(carried);
    CAPTURE(heard.status().ToString());
    REQUIRE(heard.ok());
    CHECK(*heard == said);
  }
}

TEST_CASE("a report tells an empty list from one that has not changed", "[unit]") {
  sync::Report said;
  said.announced.emplace();
  const absl::StatusOr<sync::AgentMessage> heard = FromProto(agent::ToProto(said));
  REQUIRE(heard.ok());
  const auto& report = std::get<sync::Report>(*heard);
  CHECK(report.announced.has_value());
  CHECK(report.announced->empty());
  CHECK_FALSE(report.interfaces.has_value());
  CHECK_FALSE(report.conflicts.has_value());
  CHECK_FALSE(report.findings.has_value());

  said = {};
  said.findings.emplace();
  const absl::StatusOr<sync::AgentMessage> well = FromProto(agent::ToProto(said));
  REQUIRE(well.ok());
  CHECK(std::get<sync::Report>(*well).findings == std::vector<sync::NodeFinding>{});
}

TEST_CASE("a finding of a severity that this controller does not know is a warning", "[unit]") {
  v1::AgentMessage message;
  v1::NodeFinding* finding = message.mutable_report()->mutable_findings()->add_findings();
  finding->set_severity(static_cast<v1::NodeFinding::Severity>(7));
  finding->set_message("the moon is full");
  const absl::StatusOr<sync::AgentMessage> heard = FromProto(message);
  REQUIRE(heard.ok());
  const auto& report = std::get<sync::Report>(*heard);
  REQUIRE(report.findings.has_value());
  REQUIRE(report.findings->size() == 1);
  CHECK(report.findings->front().severity == sync::NodeFinding::Severity::kWarning);
  CHECK(report.findings->front().message == "the moon is full");
}

TEST_CASE("a broken rule is told with the name of its field", "[unit]") {
  using Breaker = std::function<void(v1::AgentMessage&)>;
  const std::vector<std::pair<Breaker, std::string>> cases = {
      {[](auto& m) { m.clear_payload(); }, "payload: "},
      {[](auto& m) { m.mutable_hello()->clear_node(); }, "hello.node: must not be empty"},
      {[](auto& m) { m.mutable_hello()->clear_instance_id(); }, "hello.instance_id: must not be empty"},
      {[](auto& m) { m.mutable_hello()->set_node(std::string(254, 'n')); }, "hello.node: 254 bytes"},
      {[](auto& m) { m.mutable_hello()->set_boot_id("a\nb"); }, "hello.boot_id: "},
      {[](auto& m) { m.mutable_hello()->set_started_ns(-1); }, "hello.started_ns: "},
      {[](auto& m) { m.mutable_hello()->set_wall_ns(-1); }, "hello.wall_ns: "},
      {[](auto& m) { m.mutable_report()->set_wall_ns(-1); }, "report.wall_ns: "},
      {[](auto& m) {
         for (std::size_t i = 0; i <= sync::kMaxFindings; ++i) m.mutable_report()->mutable_findings()->add_findings();
       },
       "report.findings.findings: "},
      {[](auto& m) { m.mutable_report()->mutable_findings()->add_findings()->set_cure(std::string(1025, 'c')); },
       "report.findings.findings[0].cure: "},
      {[](auto& m) { m.mutable_hello()->add_local("10.0.0.x"); }, "hello.local[0]: \"10.0.0.x\""},
      {[](auto& m) { m.mutable_hello()->add_announced()->set_address("::ffff:10.0.0.1"); },
       "hello.announced[0].address: "},
      {[](auto& m) { m.mutable_hello()->add_interfaces(); }, "hello.interfaces[0].name: "},
      {[](auto& m) {
         auto* interface = m.mutable_hello()->add_interfaces();
         interface->set_name("eth0");
         interface->set_mac("02:00:00:00:00");
       },
       "hello.interfaces[0].mac: "},
      {[](auto& m) {
         auto* interface = m.mutable_hello()->add_interfaces();
         interface->set_name("eth0");
         interface->set_mac("02:00:00:00:00:01");
         interface->add_prefixes("10.0.0.1/33");
       },
       "hello.interfaces[0].prefixes[0]: "},
      {[](auto& m) { m.mutable_report()->mutable_conflicts()->add_conflicts()->set_address("1.2.3"); },
       "report.conflicts.conflicts[0].address: "},
      {[](auto& m) { m.mutable_rejected()->add_rejections()->set_rival("x"); }, "rejected.rejections[0].rival: "},
      {[](auto& m) { m.mutable_rejected()->add_rejections()->set_message(std::string(1025, 'x')); },
       "rejected.rejections[0].message: 1025 bytes"},
      {[](auto& m) { m.mutable_probe_result()->add_answers(); }, "probe_result.answers[0].address: "},
  };
  REQUIRE(FromProto(GoodHello()).ok());
  for (const auto& [breaker, problem] : cases) {
    v1::AgentMessage message = GoodHello();
    breaker(message);
    CAPTURE(problem);
    CHECK(FromProto(message).status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(Problem(message), Catch::StartsWith(problem));
  }
}

TEST_CASE("lists end where agent.proto says", "[unit]") {
  v1::AgentMessage message = GoodHello();
  for (int i = 0; i < 65536; ++i) message.mutable_hello()->add_local("192.0.2.1");
  CHECK(FromProto(message).ok());
  message.mutable_hello()->add_local("192.0.2.1");
  CHECK(Problem(message) == "hello.local: 65537 entries, at most 65536 are allowed");

  message = GoodHello();
  for (int i = 0; i < 1025; ++i) {
    auto* interface = message.mutable_hello()->add_interfaces();
    interface->set_name("eth0");
    interface->set_mac("02:00:00:00:00:01");
  }
  CHECK(Problem(message) == "hello.interfaces: 1025 entries, at most 1024 are allowed");
}

TEST_CASE("a code of a newer agent reads as unspecified", "[unit]") {
  v1::AgentMessage message;
  message.mutable_rejected()->add_rejections()->set_code(static_cast<v1::RejectCode>(77));
  const absl::StatusOr<sync::AgentMessage> heard = FromProto(message);
  REQUIRE(heard.ok());
  CHECK(std::get<sync::Rejected>(*heard).rejections.at(0).code == sync::RejectCode::kUnspecified);
}

}  // namespace
}  // namespace berth::push
