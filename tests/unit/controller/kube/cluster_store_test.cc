// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/source/cluster_store.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace berth::kube {
namespace {

using nlohmann::json;

const model::ObjectId kWeb{"shop", "web"};

json Web(int revision, const char* policy) {
  return {{"metadata",
           {{"name", "web"}, {"namespace", "shop"}, {"uid", "u-1"}, {"resourceVersion", std::to_string(revision)}}},
          {"spec",
           {{"type", "LoadBalancer"},
            {"loadBalancerClass", "berth.io/lb"},
            {"externalTrafficPolicy", policy},
            {"ports", json::array({{{"port", 80}}})}}}};
}

json Slice(const char* node) {
  return {{"metadata",
           {{"name", "web-1"},
            {"namespace", "shop"},
            {"uid", "u-2"},
            {"resourceVersion", "7"},
            {"labels", {{"kubernetes.io/service-name", "web"}}}}},
          {"addressType", "IPv4"},
          {"endpoints", json::array({{{"addresses", {"10.0.0.1"}}, {"nodeName", node}}})}};
}

// As after the first lists.
struct Listed : ClusterStore {
  Listed() { OnListed(); }
  ~Listed() { CHECK(problems().texts == std::vector<std::string>()); }
  model::ClusterDelta Take() { return TakeDelta(100); }
};

TEST_CASE("a Service that turns Local is told with its endpoints only, whatever changed just before", "[unit]") {
  Listed store;
  store.PutService(Web(1, "Cluster"));
  CHECK(store.Take().services.size() == 1);
  store.PutService(Web(2, "Cluster"));
  store.PutService(Web(3, "Local"));
  CHECK(store.TakeFetches() == std::vector<model::ObjectId>{kWeb});
  CHECK(store.Take().services.empty());
  store.PutSlice(Slice("node1"));
  store.PutFetched(kWeb);
  const model::ClusterDelta delta = store.Take();
  REQUIRE(delta.services.size() == 1);
  CHECK(delta.services[0].revision == "3");
  CHECK(delta.slices.size() == 1);
  CHECK(store.Take().services.empty());
}

TEST_CASE("a Service that turns Local and back while its endpoints are fetched is told as it is", "[unit]") {
  Listed store;
  store.PutService(Web(1, "Local"));
  CHECK(store.TakeFetches().size() == 1);
  CHECK(store.Take().services.empty());
  store.PutService(Web(2, "Cluster"));
  CHECK(store.Take().services.size() == 1);
  store.PutFetched(kWeb);
  CHECK_FALSE(store.dirty());
}

TEST_CASE("more Services than are wanted at a time are told by further calls, each once and as it is by then",
          "[unit]") {
  Listed store;
  for (const char* name : {"a", "b", "c"}) {
    json object = Web(1, "Cluster");
    object["metadata"]["name"] = name;
    store.PutService(object);
  }
  CHECK(store.TakeDelta(2).services.size() == 2);
  json late = Web(2, "Local");
  late["metadata"]["name"] = "c";
  store.PutService(late);
  CHECK(store.TakeDelta(2).services.empty());
  store.PutFetched({"shop", "c"});
  CHECK(store.TakeDelta(2).services.size() == 1);
  CHECK_FALSE(store.dirty());
}

}  // namespace
}  // namespace berth::kube
