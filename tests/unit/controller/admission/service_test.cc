// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/controller/admission/admission_testing.h"

namespace berth::admission {
namespace {

using nlohmann::json;

json Service() {
  return {{"apiVersion", "v1"},
          {"kind", "Service"},
          {"metadata", {{"name", "web"}}},
          {"spec", {{"type", "LoadBalancer"}, {"ports", {{{"port", 80}, {"protocol", "TCP"}}}}}}};
}

FakeView Cluster() {
  FakeView view;
  view.rules.manage_unclassed = true;
  view.Add(plan::DefaultPool("lab", "198.51.100.0/24"));
  view.Add(plan::MakePool("edge", "192.0.2.10-192.0.2.20"));
  return view;
}

// The annotations after the patch, or null without one.
json Mutated(const json& object, const FakeView& view, const std::string& operation = "CREATE") {
  const Verdict verdict = Decide(Hook::kService, MakeReview(operation, "services", object), view);
  CHECK(verdict.allowed);
  if (verdict.patch.empty()) return nullptr;
  const json after = object.patch(json::parse(verdict.patch));
  CHECK(after["spec"] == object["spec"]);
  return after["metadata"]["annotations"];
}

TEST_CASE("a new Service that the default Eip will serve is told so", "[unit]") {
  const json wanted = {
      {model::kOptInAnnotation, "openelb"}, {model::kPoolAnnotation, "lab"}, {model::kProtocolAnnotation, "layer2"}};
  CHECK(Mutated(Service(), Cluster()) == wanted);
  json annotated = Service();
  annotated["metadata"]["annotations"] = {{"note", "kept"}, {model::kProtocolAnnotation, "layer2"}};
  json with_note = wanted;
  with_note["note"] = "kept";
  CHECK(Mutated(annotated, Cluster()) == with_note);
}

TEST_CASE("a new Service that names its family needs no knowledge of the cluster's", "[unit]") {
  FakeView view = Cluster();
  view.first_family.reset();
  json service = Service();
  service["spec"]["ipFamilies"] = {"IPv4"};
  CHECK(Mutated(service, view)[model::kPoolAnnotation] == "lab");
}

TEST_CASE("a new Service of a cluster whose first family is IPv6 is told of the default Eip of that family", "[unit]") {
  FakeView view = Cluster();
  view.first_family = Family::kIpv6;
  view.pools.erase("lab");
  view.Add(plan::DefaultPool("six", "2001:db8::/120"));
  CHECK(Mutated(Service(), view)[model::kPoolAnnotation] == "six");
}

TEST_CASE("a Service that the default Eip would not serve is left alone", "[unit]") {
  FakeView view = Cluster();
  json service = Service();
  std::string operation = "CREATE";
  SECTION("the flag is off") { view.rules.manage_unclassed = false; }
  SECTION("nothing is known yet") { view.synced = false; }
  SECTION("it is changed, not created") { operation = "UPDATE"; }
  SECTION("it is no load balancer") { service["spec"]["type"] = "ClusterIP"; }
  SECTION("it has a class") { service["spec"]["loadBalancerClass"] = "other.example/lb"; }
  SECTION("it names an Eip") { service["metadata"]["annotations"] = {{model::kPoolAnnotation, "edge"}}; }
  SECTION("it wants an address") { service["spec"]["loadBalancerIP"] = "192.0.2.11"; }
  SECTION("it wants an address by annotation") {
    service["metadata"]["annotations"] = {{model::kAddressAnnotation, "192.0.2.11"}};
  }
  SECTION("it wants another protocol") { service["metadata"]["annotations"] = {{model::kProtocolAnnotation, "bgp"}}; }
  SECTION("it is of another family") { service["spec"]["ipFamilies"] = {"IPv6"}; }
  SECTION("it is of both") { service["spec"]["ipFamilyPolicy"] = "RequireDualStack"; }
  SECTION("it may be of both") {
    service["spec"]["ipFamilies"] = {"IPv4"};
    service["spec"]["ipFamilyPolicy"] = "PreferDualStack";
  }
  SECTION("the API server will make it one of another family") { view.first_family = Family::kIpv6; }
  SECTION("nobody knows what family the API server will give it") { view.first_family.reset(); }
  SECTION("there is no default") { view.pools.erase("lab"); }
  SECTION("the default goes") { view.pools["lab"].deleting = true; }
  SECTION("its namespace has an Eip of its own") { view.Add(plan::BoundPool("bound", "203.0.113.0/24", "shop")); }
  SECTION("it makes no sense") { service["spec"]["ports"] = "many"; }
  CHECK(Mutated(service, view, operation).is_null());
}

}  // namespace
}  // namespace berth::admission
