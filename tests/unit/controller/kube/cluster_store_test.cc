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
  store.PutFetched(kWeb, {{"items", {Slice("node1")}}});
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
  store.PutFetched(kWeb, {{"items", {Slice("node1")}}});
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
  CHECK(store.TakeFetches().size() == 1);
  store.PutFetched({"shop", "c"}, json::object());
  CHECK(store.TakeDelta(2).services.size() == 1);
  CHECK_FALSE(store.dirty());
}

json Eip(int revision, const char* address, bool deleting = false) {
  json object = {{"metadata", {{"name", "pool"}, {"uid", "u-3"}, {"resourceVersion", std::to_string(revision)}}},
                 {"spec", {{"address", address}, {"protocol", "layer2"}, {"interface", "eth0"}}}};
  if (deleting) object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  return object;
}

TEST_CASE("an Eip that never could be read is told for its deletion alone, and what is wrong all the while", "[unit]") {
  ClusterStore store;
  CHECK(store.PutPool(Eip(1, "xxxx")) == nullptr);
  CHECK_FALSE(store.dirty());
  REQUIRE(store.PutPool(Eip(2, "xxxx", /*deleting=*/true)) != nullptr);
  model::ClusterDelta delta = store.TakeDelta(100);
  REQUIRE(delta.pools.size() == 1);
  CHECK(delta.pools[0].deleting);
  CHECK(delta.pools[0].addresses.ranges().empty());
  CHECK(delta.pools[0].address_text == "xxxx");
  store.PutNode({{"metadata", 5}});  // another problem, so that they are all put together anew
  CHECK(store.problems().pools.count("pool") == 1);
  SECTION("gone, it is no problem") {
    store.DropPool("pool");
    CHECK(store.TakeDelta(100).gone_pools == std::vector<std::string>{"pool"});
    CHECK(store.problems().pools.empty());
  }
  SECTION("mended, it is as any other") {
    store.PutPool(Eip(3, "10.0.0.1", /*deleting=*/true));
    delta = store.TakeDelta(100);
    REQUIRE(delta.pools.size() == 1);
    CHECK_FALSE(delta.pools[0].addresses.ranges().empty());
    CHECK(store.problems().pools.empty());
  }
  SECTION("another one of its name that cannot be read either is not told") {
    CHECK(store.PutPool(Eip(3, "xxxx")) == nullptr);
    CHECK(store.TakeDelta(100).gone_pools == std::vector<std::string>{"pool"});
  }
}

TEST_CASE("an Eip that cannot be read any more keeps its content, and goes when it is told to", "[unit]") {
  ClusterStore store;
  store.PutPool(Eip(1, "10.0.0.1"));
  CHECK(store.TakeDelta(100).pools.size() == 1);
  const PoolObject* kept = store.PutPool(Eip(2, "xxxx"));
  REQUIRE(kept != nullptr);
  CHECK(kept->pool.revision == "2");
  CHECK_FALSE(store.dirty());
  store.PutPool(Eip(3, "xxxx", /*deleting=*/true));
  const model::ClusterDelta delta = store.TakeDelta(100);
  REQUIRE(delta.pools.size() == 1);
  CHECK(delta.pools[0].deleting);
  CHECK(delta.pools[0].address_text == "10.0.0.1");
  CHECK(store.problems().texts.size() == 1);
  CHECK(store.problems().pools.empty());
  CHECK(store.PutPool(Eip(2, "xxxx"))->pool.deleting);  // old news
  CHECK(store.PutPool(Eip(2, "10.0.0.1"))->pool.deleting);
  CHECK(store.problems().texts.size() == 1);  // of what is there now
}

TEST_CASE("an Eip that took the place of another of its name has nothing of its content", "[unit]") {
  ClusterStore store;
  store.PutPool(Eip(1, "10.0.0.1"));
  CHECK(store.TakeDelta(100).pools.size() == 1);
  json other = Eip(3, "xxxx");
  other["metadata"]["uid"] = "another";
  CHECK(store.PutPool(other) == nullptr);
  CHECK(store.TakeDelta(100).gone_pools == std::vector<std::string>{"pool"});
  CHECK(store.problems().pools.count("pool") == 1);
  other = Eip(4, "10.0.0.2");
  other["metadata"]["uid"] = "another";
  REQUIRE(store.PutPool(other) != nullptr);
  CHECK(store.TakeDelta(100).pools.size() == 1);
  REQUIRE(store.PutPool(Eip(2, "10.0.0.1")) != nullptr);  // the answer to a write of before
  CHECK(store.PutPool(Eip(2, "10.0.0.1"))->pool.revision == "4");
}

TEST_CASE("endpoints that were asked for never take the place of what the watch told meanwhile", "[unit]") {
  Listed store;
  store.PutService(Web(1, "Local"));
  REQUIRE(store.TakeFetches().size() == 1);
  const json old = {{"items", {Slice("node1")}}};
  SECTION("of a pod that moved") {
    store.PutSlice(Slice("node2"));
    store.PutFetched(kWeb, old);
    const model::ClusterDelta delta = store.Take();
    CHECK(delta.services.size() == 1);
    REQUIRE(delta.slices.size() == 1);
    CHECK(delta.slices[0].endpoints.at(0).node == "node2");
  }
  SECTION("of a slice that is gone, though nobody knew whose it was") {
    store.DropSlice({"shop", "web-1"});
    CHECK(store.fetching());
    store.PutFetched(kWeb, old);
    CHECK_FALSE(store.fetching());
    const model::ClusterDelta delta = store.Take();
    CHECK(delta.services.size() == 1);
    CHECK(delta.slices.empty());
  }
  SECTION("but of other slices, and of what it told before") {
    store.DropSlice({"shop", "web-2"});
    json other = Web(1, "Local");
    other["metadata"]["name"] = "other";
    store.PutService(other);
    store.PutSlice(Slice("node2"));
    REQUIRE(store.TakeFetches().size() == 1);
    json list = {{"items", {Slice("node1")}}};
    list["items"][0]["metadata"]["name"] = "other-1";
    list["items"][0]["metadata"]["labels"]["kubernetes.io/service-name"] = "other";
    store.DropSlice({"elsewhere", "other-1"});
    store.PutFetched({"shop", "other"}, list);
    CHECK(store.fetching());
    store.PutFetched(kWeb, old);
    const model::ClusterDelta delta = store.Take();
    REQUIRE(delta.slices.size() == 2);
    CHECK(delta.slices[0].endpoints.at(0).node == "node1");
    CHECK(delta.slices[1].endpoints.at(0).node == "node2");
  }
  SECTION("though the Service turned back and forth") {
    store.PutService(Web(2, "Cluster"));
    store.PutService(Web(3, "Local"));
    CHECK(store.TakeFetches().empty());  // one at a time
    store.PutFetched(kWeb, old);
    CHECK(store.TakeFetches().size() == 1);
    store.PutFetched(kWeb, old);
    CHECK(store.Take().slices.size() == 1);
  }
}

TEST_CASE("a Service that turns Local while slices are being listed has its own listed", "[unit]") {
  ClusterStore store;
  store.PutService(Web(1, "Cluster"));
  store.OnListed();  // of Services: slices begin
  store.PutSlice(Slice("node1"));
  store.PutService(Web(2, "Local"));
  CHECK(store.TakeDelta(100).services.empty());
  REQUIRE(store.TakeFetches().size() == 1);
  store.PutFetched(kWeb, {{"items", {Slice("node1")}}});
  CHECK(store.TakeDelta(100).slices.size() == 1);
}

TEST_CASE("a Service that cannot be read is told when it is being deleted", "[unit]") {
  ClusterStore store;
  json web = Web(1, "Cluster");
  web["metadata"]["finalizers"] = {"finalizer.lb.kubesphere.io/v1alpha1"};
  const bool known = GENERATE(true, false);
  if (known) store.PutService(web);
  CHECK(store.TakeDelta(100).services.size() == (known ? 1 : 0));
  web["spec"]["ports"][0]["port"] = 0;
  web["metadata"]["resourceVersion"] = "2";
  store.PutService(web);
  CHECK_FALSE(store.dirty());
  web["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z";
  web["metadata"]["resourceVersion"] = "3";
  store.PutService(web);
  const model::ClusterDelta delta = store.TakeDelta(100);
  REQUIRE(delta.services.size() == 1);
  CHECK(delta.services[0].deleting);
  CHECK(delta.services[0].touched());
  CHECK(delta.services[0].revision == "3");
  CHECK(store.problems().texts.size() == 1);
}

}  // namespace
}  // namespace berth::kube
