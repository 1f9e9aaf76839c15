// SPDX-License-Identifier: Apache-2.0
#include "controller/files/state_codec.h"

#include <catch2/catch.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {
namespace {

const model::ObjectId kWeb{"default", "web"};

RecordedService Record(const std::string& spec) {
  RecordedService record;
  record.allocations = {{*IpAddr::Parse("10.0.0.1"), "edge", model::Protocol::kLayer2, "eth0"},
                        {*IpAddr::Parse("fd00::1"), "edge6", model::Protocol::kBgp, ""}};
  record.managed_by = "class:berth.io/lb";
  record.hold = true;
  record.file = "web.yaml";
  if (!spec.empty()) record.spec = std::make_shared<const model::Service>(Only<model::Service>(Web(spec)));
  return record;
}

std::string Encode(const StateData& state) {
  RecordLines lines;
  for (const auto& [id, record] : state.services) lines[id] = EncodeRecord(id, record);
  std::string text;
  EncodeState(state.term, state.agents, lines,
              [&](absl::string_view piece) { text.append(piece.data(), piece.size()); });
  return text;
}

StateData Example() {
  StateData state;
  state.term = 18446744073709551615u;
  state.agents = {{"node1", {*MacAddr::Parse("02:00:00:00:00:01"), *MacAddr::Parse("02:00:00:00:00:02")}},
                  {"node2", {}, true}};
  state.services[kWeb] = Record("{type: LoadBalancer, ports: [{port: 80}]}");
  state.services[{"default", "bare"}] = Record("");
  return state;
}

}  // namespace

TEST_CASE("the state that is written is the state that is read", "[unit]") {
  const std::string spec = GENERATE(
      "{type: LoadBalancer, ports: [{port: 80}]}", "{}", "{clusterIP: None}",
      "{type: LoadBalancer, loadBalancerClass: a/b, loadBalancerIP: 10.0.0.1, externalTrafficPolicy: Local, "
      "ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6], selector: {a: \"b \\\" c\"}, ports: [{name: x, port: 1, "
      "protocol: UDP}, {port: 65535, protocol: SCTP}]}",
      "{ipFamilies: [IPv6]}");
  StateData state = Example();
  state.services[kWeb] = Record(spec);
  model::Service service = *state.services[kWeb].spec;
  service.annotations = {{model::kOptInAnnotation, "openelb"}, {model::kPoolAnnotation, "\n\x01\""}};
  service.created = absl::FromUnixMillis(1767323045678);
  state.services[kWeb].spec = std::make_shared<const model::Service>(std::move(service));
  const std::string text = Encode(state);
  const absl::StatusOr<StateData> read = DecodeState(text);
  CAPTURE(text, read.status().ToString());
  REQUIRE(read.ok());
  CHECK(*read == state);
}

TEST_CASE("an empty state is written and read", "[unit]") {
  const absl::StatusOr<StateData> read = DecodeState(Encode({}));
  REQUIRE(read.ok());
  CHECK(*read == StateData());
}

TEST_CASE("the state is sorted text with a line for each Service", "[unit]") {
  StateData state = Example();
  state.services[kWeb].hold = false;
  state.services[kWeb].spec.reset();
  state.services.erase({"default", "bare"});
  state.term = 7;
  CHECK(Encode(state) == R"({
"format": "berth-state/1",
"term": 7,
"agents": [
{"node":"node1","macs":["02:00:00:00:00:01","02:00:00:00:00:02"]},
{"node":"node2","macs":[],"drained":true}
],
"services": [
{"service":"default/web","allocations":[{"address":"10.0.0.1","pool":"edge","protocol":"layer2","interface":"eth0"},{"address":"fd00::1","pool":"edge6","protocol":"bgp"}],"managedBy":"class:berth.io/lb","file":"web.yaml"}
]
}
)");
}

TEST_CASE("no part of a state that was cut off is ever read", "[unit]") {
  const std::string whole = Encode(Example());
  for (std::size_t size = 0; size + 2 < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(DecodeState(whole.substr(0, size)).status().code() == absl::StatusCode::kInvalidArgument);
  }
}

TEST_CASE("a state with one wrong value is refused as a whole, naming it", "[unit]") {
  const auto [from, to, problem] = GENERATE(table<std::string, std::string, std::string>({
      {"\"term\": 18446744073709551615", "\"term\": -1", "state.json:3: term: must be a number that is not negative"},
      {"\"term\": 18446744073709551615", "\"term\": \"1\"", "state.json:3: term: must be a number"},
      {"\"term\": 18446744073709551615,", "", "term: is missing"},
      {"\"agents\":", "\"agent\":", "agents: is missing"},
      {"\"services\":", "\"service\":", "services: is missing"},
      {"\"format\": \"berth-state/1\",", "", "format: is missing"},
      {"10.0.0.1", "10.0.0.1000", "services[0].allocations[0].address: "},
      {"\"address\":\"10.0.0.1\",", "", "services[0].allocations[0].address: is missing"},
      {"\"pool\":\"edge\",", "", "services[0].allocations[0].pool: is missing"},
      {"layer2", "layer3", "services[0].allocations[0].protocol: \"layer3\" is not one of bgp, layer2, vip"},
      {"\"drained\":true", "\"drained\":1", "agents[1].drained: must be true or false"},
      {"\"hold\":true", "\"hold\":1", "services[0].hold: must be true or false"},
      {"default/web", "web", "services[1]: service \"web\" is not namespace/name"},
      {"default/web", "default/bare", "services[1]"},
      {"default/web", "default/other", "services[1].manifest: is not a manifest of Service \"default/other\""},
      {"\"port\":80", "\"port\":0", "services[1].manifest: is not a manifest of Service \"default/web\""},
      {"02:00:00:00:00:01", "02:00:00:00:00", "agents[0]: "},
      {"\"node\":\"node2\"", "\"nodes\":\"node2\"", "agents[1].node: is missing"},
  }));
  std::string text = Encode(Example());
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  text.replace(at, from.size(), to);
  const absl::Status status = DecodeState(text).status();
  CAPTURE(text, status.ToString());
  CHECK(absl::IsInvalidArgument(status));
  CHECK(std::string(status.message()).find(problem) != std::string::npos);
}

TEST_CASE("a state of another format version is told from a corrupt one", "[unit]") {
  const std::string text = absl::StrReplaceAll(Encode(Example()), {{"berth-state/1", "berth-state/2"}});
  const absl::Status status = DecodeState(text).status();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(status.message() ==
        "format \"berth-state/2\" is not \"berth-state/1\", use the version of berth-controller that wrote it");
}

}  // namespace berth::files
