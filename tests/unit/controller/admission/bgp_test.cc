// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/controller/admission/admission_testing.h"

namespace berth::admission {
namespace {

using nlohmann::json;

json Object(const std::string& kind, const json& spec, const std::string& name = "default") {
  return {
      {"apiVersion", "network.kubesphere.io/v1alpha2"}, {"kind", kind}, {"metadata", {{"name", name}}}, {"spec", spec}};
}
std::string Conf(const json& spec) {
  const Verdict verdict = Decide(Hook::kBgpConf, MakeReview("CREATE", "bgpconfs", Object("BgpConf", spec)), FakeView());
  return verdict.allowed ? "allowed" : verdict.message;
}
std::string Peer(const json& spec) {
  const Verdict verdict =
      Decide(Hook::kBgpPeer, MakeReview("CREATE", "bgppeers", Object("BgpPeer", spec, "tor")), FakeView());
  return verdict.allowed ? "allowed" : verdict.message;
}
json With(json spec, const std::string& pointer, const json& value) {
  spec[json::json_pointer(pointer)] = value;
  return spec;
}

TEST_CASE("a BgpConf with an AS number is let in, and wrong values are named", "[unit]") {
  const json good = {{"as", 64512}, {"listenPort", 17900}, {"routerId", "192.0.2.1"}, {"listenAddresses", {"::"}}};
  CHECK(Conf(good) == "allowed");
  CHECK(Conf({{"as", 4200000000}}) == "allowed");
  CHECK(Conf({{"as", 1}, {"listenPort", -1}}) == "allowed");
  CHECK(Conf(json::object()) ==
        "BgpConf \"default\": spec.as is missing; write this cluster's AS number, such as 64512");
  CHECK_THAT(Conf(With(good, "/as", 4294967296)), Catch::Contains("spec.as is 4294967296; it must be a number from 0"));
  CHECK_THAT(Conf(With(good, "/as", 18446744073709551615ULL)), Catch::Contains("spec.as is 18446744073709551615"));
  CHECK_THAT(Conf(With(good, "/routerId", "fd00::1")),
             Catch::Contains("spec.routerId is \"fd00::1\", which is no IPv4"));
  CHECK_THAT(Conf(With(good, "/listenPort", 65536)), Catch::Contains("spec.listenPort is 65536"));
  CHECK_THAT(Conf(With(good, "/listenAddresses/0", "all")), Catch::Contains("spec.listenAddresses is \"all\""));
  CHECK_THAT(Conf(With(good, "/asPerRack", {{"r1", 0}})), Catch::Contains("spec.asPerRack[\"r1\"] is 0"));
}

TEST_CASE("a BgpConf that nobody will act on is let in with a warning", "[unit]") {
  const Verdict verdict =
      Decide(Hook::kBgpConf, MakeReview("CREATE", "bgpconfs", Object("BgpConf", {{"as", 1}}, "mine")), FakeView());
  CHECK(verdict.allowed);
  CHECK(verdict.warnings ==
        std::vector<std::string>{
            "BgpConf \"mine\" is without effect: only the one that is named \"default\" is acted on"});
}

TEST_CASE("a BgpPeer with an address and an AS number is let in, and wrong values are named", "[unit]") {
  const json good = {{"conf", {{"neighborAddress", "192.0.2.1"}, {"peerAs", 64513}}},
                     {"timers", {{"config", {{"holdTime", "90"}, {"keepaliveInterval", "30"}}}}},
                     {"transport", {{"remotePort", 17900}}},
                     {"ebgpMultihop", {{"enabled", true}, {"multihopTtl", 5}}},
                     {"afiSafis", {{{"config", {{"family", {{"afi", "AFI_IP"}, {"safi", "SAFI_UNICAST"}}}}}}}},
                     {"nodeSelector", {{"matchExpressions", {{{"key", "rack"}, {"operator", "Exists"}}}}}}};
  CHECK(Peer(good) == "allowed");
  CHECK(Peer(With(good, "/conf", {{"neighborInterface", "eth1"}, {"peerAs", 1}})) == "allowed");
  CHECK(Peer(json::object()) ==
        "BgpPeer \"tor\": spec.conf.neighborAddress is missing; write the neighbour's IP address, such as 192.0.2.1");
  const auto refused = [&](const std::string& pointer, const json& value, const std::string& says) {
    CAPTURE(pointer);
    CHECK_THAT(Peer(With(good, pointer, value)), Catch::StartsWith("BgpPeer \"tor\": spec." + says));
  };
  refused("/conf/neighborAddress", "192.0.2.1/24", "conf.neighborAddress is \"192.0.2.1/24\", which is no IP address");
  refused("/conf/peerAs", 0, "conf.peerAs is missing");
  refused("/conf/peerAs", "64513", "conf.peerAs is \"64513\"; it must be a number");
  refused("/conf/removePrivateAs", "SOME", "conf.removePrivateAs is \"SOME\"; it must be one of NONE, ALL, REPLACE");
  refused("/transport/remotePort", 70000, "transport.remotePort is 70000");
  refused("/transport/remoteAddress", "tor.example", "transport.remoteAddress is \"tor.example\"");
  refused("/ebgpMultihop/multihopTtl", 256, "ebgpMultihop.multihopTtl is 256");
  refused("/timers/config/holdTime", "2", "timers.config.holdTime is less than 3 seconds");
  refused("/timers/config/holdTime", "soon", "timers.config.holdTime is \"soon\"");
  refused("/timers/config/keepaliveInterval", "90", "timers.config.keepaliveInterval is 90 seconds, no less than");
  refused("/afiSafis/0/config/family/afi", "AFI_L2VPN", "afiSafis.config.family.afi is \"AFI_L2VPN\"");
  refused("/nodeSelector/matchExpressions/0/operator", "Like", "nodeSelector.matchExpressions, key \"rack\", has");
  refused("/nodeSelector/matchExpressions/0/operator", "In", "nodeSelector.matchExpressions, key \"rack\", has");
}

TEST_CASE("what says nothing new is not judged", "[unit]") {
  json before = Object("BgpPeer", json::object(), "tor");
  json after = before;
  after["metadata"]["finalizers"] = {"finalizer.lb.kubesphere.io/v1alpha1"};
  CHECK(Decide(Hook::kBgpPeer, MakeReview("UPDATE", "bgppeers", after, before), FakeView()).allowed);
  CHECK(Decide(Hook::kBgpPeer, MakeReview("DELETE", "bgppeers", nullptr, before), FakeView()).allowed);
}

}  // namespace
}  // namespace berth::admission
