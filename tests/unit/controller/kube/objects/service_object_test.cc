// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/service_object.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace berth::kube {
namespace {

using nlohmann::json;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const char kThen[] = "2023-11-14T22:13:20Z";

json Web() {
  return json::parse(R"({"metadata": {"name": "web", "namespace": "shop", "uid": "u-1", "resourceVersion": "41",
      "creationTimestamp": "2026-01-02T03:04:05Z",
      "annotations": {"lb.kubesphere.io/v1alpha1": "openelb", "other": "x"},
      "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]},
    "spec": {"type": "LoadBalancer", "clusterIP": "10.0.0.9", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
      "externalTrafficPolicy": "Local", "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 30000}],
      "selector": {"app": "web"}},
    "status": {"loadBalancer": {}}})");
}

ServiceObject Read(const json& object) {
  absl::StatusOr<ServiceObject> read = ReadService(object);
  INFO(read.status());
  REQUIRE(read.ok());
  return *std::move(read);
}

model::Allocation Given(const char* address) {
  return {*IpAddr::Parse(address), "pool-a", model::Protocol::kLayer2, "eth0"};
}

model::ServiceWrite Assign(std::vector<model::Allocation> allocations) {
  model::ServiceWrite write;
  write.id = {"shop", "web"};
  write.revision = "41";
  write.allocations = std::move(allocations);
  write.managed_by = "annotation";
  return write;
}

json Patch(const model::ServiceWrite& write, const ServiceRest& rest) {
  return json::parse(ServicePatch(write, rest, kNow));
}

// What the API server makes of the object with a patch of its status.
json Patched(json object, const model::ServiceWrite& write) {
  object.merge_patch(Patch(write, Read(object).rest));
  object["metadata"]["resourceVersion"] = "42";
  return object;
}

TEST_CASE("a Service of the API server is read with what Berth uses of it", "[unit]") {
  const ServiceObject read = Read(Web());
  CHECK(read.service.id == model::ObjectId{"shop", "web"});
  CHECK(read.service.revision == "41");
  CHECK(read.service.load_balancer);
  CHECK(read.service.traffic_policy == model::TrafficPolicy::kLocal);
  CHECK(read.service.annotations == model::Labels{{"lb.kubesphere.io/v1alpha1", "openelb"}});
  CHECK(read.service.ports.size() == 1);
  CHECK_FALSE(read.service.touched());
  CHECK_FALSE(read.service.deleting);
  CHECK(read.rest.uid == "u-1");
}

TEST_CASE("what one patch records, the next reading brings back", "[unit]") {
  const std::vector<model::Allocation> given = {Given("192.168.50.50"), Given("fd00::50")};
  const ServiceObject read = Read(Patched(Web(), Assign(given)));
  CHECK(read.service.allocations == given);
  CHECK(read.service.managed_by == "annotation");
  CHECK(read.service.marked);
  CHECK(read.service.told == 0);
  CHECK_FALSE(read.service.foreign_ingress);
  CHECK(read.rest.assigned);
}

TEST_CASE("an assignment carries addresses, finalizer, label, record and condition in one patch", "[unit]") {
  const json patch = Patch(Assign({Given("192.168.50.50")}), Read(Web()).rest);
  CHECK(patch["metadata"]["resourceVersion"] == "41");
  CHECK(patch["metadata"]["finalizers"] == json{"finalizer.lb.kubesphere.io/v1alpha1"});
  CHECK(patch["metadata"]["labels"] == json{{"eip.openelb.kubesphere.io/v1alpha2", "pool-a"}});
  CHECK(patch["status"]["loadBalancer"]["ingress"] == json::array({{{"ip", "192.168.50.50"}}}));
  const json& condition = patch["status"]["conditions"][0];
  CHECK(condition["type"] == "berth.io/Assigned");
  CHECK(condition["status"] == "True");
  CHECK(condition["reason"] == "Assigned");
  CHECK(condition["message"] == "192.168.50.50 of Eip pool-a");
  CHECK(condition["lastTransitionTime"] == kThen);
}

TEST_CASE("finalizers and conditions of others stay, through an assignment and a release", "[unit]") {
  json object = Web();
  object["metadata"]["finalizers"] = {"example.com/keep"};
  object["status"]["conditions"] = {{{"type", "example.com/Seen"}, {"status", "True"}}};
  const json assigned = Patched(object, Assign({Given("192.168.50.50")}));
  CHECK(assigned["metadata"]["finalizers"] == json{"example.com/keep", "finalizer.lb.kubesphere.io/v1alpha1"});
  CHECK(assigned["status"]["conditions"].size() == 2);
  const json released = Patched(assigned, Assign({}));
  object["metadata"]["resourceVersion"] = "42";
  object["metadata"]["labels"] = json::object();
  CHECK(released == object);
}

TEST_CASE("a release takes away all that was ours, and the last finalizer with it", "[unit]") {
  const json released = Patched(Patched(Web(), Assign({Given("192.168.50.50")})), Assign({}));
  CHECK_FALSE(released["metadata"].contains("finalizers"));
  CHECK(released["metadata"]["annotations"].size() == 2);
  CHECK_FALSE(released["status"].contains("conditions"));
  CHECK_FALSE(released["status"]["loadBalancer"].contains("ingress"));
  CHECK_FALSE(Read(released).service.touched());
}

TEST_CASE("a Service that has to wait says why, and its condition's time stays while it does", "[unit]") {
  model::ServiceWrite wait = Assign({});
  wait.condition_reason = "PoolExhausted";
  wait.condition_message = "Eip \"pool-a\" has no free address";
  json object = Patched(Web(), wait);
  CHECK_FALSE(object["metadata"].contains("finalizers"));
  CHECK(object["status"]["conditions"][0]["status"] == "False");
  CHECK(Read(object).service.told == wait.told());
  CHECK(Read(object).service.touched());

  object["status"]["conditions"][0]["lastTransitionTime"] = "2020-01-01T00:00:00Z";
  wait.condition_reason = "PoolDisabled";
  CHECK(Patched(object, wait)["status"]["conditions"][0]["lastTransitionTime"] == "2020-01-01T00:00:00Z");
  const json assigned = Patched(object, Assign({Given("192.168.50.50")}));
  CHECK(assigned["status"]["conditions"][0]["lastTransitionTime"] == kThen);
  CHECK(Read(assigned).service.told == 0);
}

TEST_CASE("an address of OpenELB's, known by the label alone, is an allocation", "[unit]") {
  json object = Web();
  object["metadata"]["labels"] = {{"eip.openelb.kubesphere.io/v1alpha2", "old-pool"}};
  object["metadata"]["finalizers"] = {"finalizer.lb.kubesphere.io/v1alpha1"};
  object["status"]["loadBalancer"]["ingress"] = {{{"ip", "10.1.0.7"}, {"ipMode", "VIP"}}};
  const ServiceObject read = Read(object);
  REQUIRE(read.service.allocations.size() == 1);
  CHECK(read.service.allocations[0].address.ToString() == "10.1.0.7");
  CHECK(read.service.allocations[0].pool == "old-pool");
  CHECK(read.rest.unrecorded);
  CHECK(read.service.managed_by.empty());
}

TEST_CASE("an address that somebody else set is none of ours, gives way and comes back", "[unit]") {
  json object = Web();
  object["status"]["loadBalancer"]["ingress"] = {{{"ip", "10.9.9.9"}}, {{"hostname", "lb.example.com"}}};
  const ServiceObject read = Read(object);
  CHECK(read.service.allocations.empty());
  CHECK(read.service.foreign_ingress);
  CHECK_FALSE(read.service.touched());
  CHECK(Patch(Assign({Given("192.168.50.50")}), read.rest)["status"]["loadBalancer"]["ingress"].size() == 1);
  CHECK(Patch(Assign({}), read.rest)["status"]["loadBalancer"]["ingress"] ==
        object["status"]["loadBalancer"]["ingress"]);
}

TEST_CASE("a record copied to another Service gives it nothing", "[unit]") {
  json copy = Web();
  copy["metadata"]["annotations"] = Patched(Web(), Assign({Given("192.168.50.50")}))["metadata"]["annotations"];
  CHECK(Read(copy).service.allocations.empty());
}

TEST_CASE("a damaged record counts as none", "[unit]") {
  const std::string record = GENERATE("", "{", "[]", "{\"addresses\": 7}", "{\"addresses\": [{\"address\": 7}]}",
                                      "{\"addresses\": [{\"address\": \"x\", \"protocol\": \"layer2\"}]}");
  json object = Patched(Web(), Assign({Given("192.168.50.50")}));
  object["metadata"]["annotations"]["berth.io/allocations"] = record;
  const ServiceObject read = Read(object);
  REQUIRE(read.service.allocations.size() == 1);
  CHECK(read.service.allocations[0].pool == "pool-a");  // by the label
  CHECK(read.rest.unrecorded);
}

TEST_CASE("a Service that cannot be read is named with field and value", "[unit]") {
  json object = Web();
  object["spec"]["ports"][0]["port"] = 70000;
  const std::string text(ReadService(object).status().message());
  CHECK(text.find("Service \"shop/web\": spec.ports[0].port: ") == 0);
  CHECK(text.find("70000") != std::string::npos);
}

TEST_CASE("an Eip's name that is too long for a label is cut, and still told apart", "[unit]") {
  CHECK(PoolLabel("pool-a") == "pool-a");
  const std::string a = PoolLabel(std::string(200, 'a')), b = PoolLabel(std::string(199, 'a') + "b");
  CHECK(a.size() <= 63);
  CHECK(a != b);
}

}  // namespace
}  // namespace berth::kube
