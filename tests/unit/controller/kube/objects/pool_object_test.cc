// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/pool_object.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace berth::kube {
namespace {

using nlohmann::json;

const absl::Time kNow = absl::FromUnixSeconds(1'700'000'000);
const char kThen[] = "2023-11-14T22:13:20Z";

json Eip() {
  return json::parse(R"({"apiVersion": "network.kubesphere.io/v1alpha2", "kind": "Eip",
    "metadata": {"name": "pool-a", "uid": "u-2", "resourceVersion": "7", "generation": 1},
    "spec": {"address": "192.168.50.50-192.168.50.60", "protocol": "layer2", "interface": "eth0"}})");
}

model::PoolStatus Status() {
  model::PoolStatus status;
  status.pool = "pool-a";
  status.first_ip = "192.168.50.50";
  status.last_ip = "192.168.50.60";
  status.total = AddressCount(11);
  status.used = AddressCount(1);
  status.ready = true;
  status.used_list = {{*IpAddr::Parse("192.168.50.50"), {{"a", "x"}, {"b", "y"}}}};
  return status;
}

TEST_CASE("an Eip of the API server is read with its finalizer and status", "[unit]") {
  json object = Eip();
  object["metadata"]["finalizers"] = {"finalizer.ipam.kubesphere.io/v1alpha1", "example.com/keep"};
  object["status"] = {{"usage", 3}};
  const absl::StatusOr<PoolObject> read = ReadPool(object);
  REQUIRE(read.ok());
  CHECK(read->pool.address_text == "192.168.50.50-192.168.50.60");
  CHECK(read->pool.has_finalizer);
  CHECK(read->other_finalizers == std::vector<std::string>{"example.com/keep"});
  CHECK(json::parse(read->status) == json{{"usage", 3}});
}

TEST_CASE("an Eip that cannot be read is named with field and value", "[unit]") {
  json object = Eip();
  object["spec"]["address"] = "10.0.0.9-10.0.0.1";
  const std::string text(ReadPool(object).status().message());
  CHECK(text.find("Eip \"pool-a\": spec.address: ") == 0);
}

TEST_CASE("an Eip's status has OpenELB's fields, zero included, and ours", "[unit]") {
  const json status = PoolStatusJson(Status(), json::object(), kNow);
  CHECK(status["firstIP"] == "192.168.50.50");
  CHECK(status["lastIP"] == "192.168.50.60");
  CHECK(status["poolSize"] == 11);
  CHECK(status["usage"] == 1);
  CHECK(status["occupied"] == false);
  CHECK(status["ready"] == true);
  CHECK(status["v4"] == true);
  CHECK(status["used"] == json{{"192.168.50.50", "a/x;b/y"}});
  CHECK_FALSE(status.contains("usedTruncated"));
  CHECK(status["conditions"].size() == 3);

  model::PoolStatus unused = Status();
  unused.used = AddressCount();
  unused.used_list.clear();
  CHECK(PoolStatusJson(unused, json::object(), kNow)["usage"] == 0);
}

TEST_CASE("a pool's size saturates where the API has no larger number", "[unit]") {
  model::PoolStatus status = Status();
  status.first_ip = "fd00::";
  status.total = AddressCount(absl::uint128(1) << 64);
  const json written = PoolStatusJson(status, json::object(), kNow);
  CHECK(written["poolSize"] == 9223372036854775807);
  CHECK(written["v4"] == false);
}

TEST_CASE("a list of users that was cut says so", "[unit]") {
  model::PoolStatus status = Status();
  status.used = AddressCount(2);
  CHECK(PoolStatusJson(status, json::object(), kNow)["usedTruncated"] == true);
}

TEST_CASE("a pool without a free address is occupied and exhausted", "[unit]") {
  model::PoolStatus status = Status();
  status.used = status.total;
  const json written = PoolStatusJson(status, json::object(), kNow);
  CHECK(written["occupied"] == true);
  CHECK(written["conditions"][2]["type"] == "Exhausted");
  CHECK(written["conditions"][2]["status"] == "True");
}

TEST_CASE("a condition says for whom a deletion waits, and is not there otherwise", "[unit]") {
  model::PoolStatus status = Status();
  status.deletion = "deletion waits for its users: a/x";
  const json condition = PoolStatusJson(status, json::object(), kNow)["conditions"][3];
  CHECK(condition["type"] == "Deleting");
  CHECK(condition["status"] == "True");
  CHECK(condition["reason"] == "InUse");
  CHECK(condition["message"] == "deletion waits for its users: a/x");
}

TEST_CASE("conditions that stay keep their time", "[unit]") {
  json before = PoolStatusJson(Status(), json::object(), kNow - absl::Hours(1));
  CHECK(PoolStatusJson(Status(), before, kNow) == before);
  model::PoolStatus status = Status();
  status.ready = false;
  const json after = PoolStatusJson(status, before, kNow);
  CHECK(after["conditions"][0]["lastTransitionTime"] == kThen);
  CHECK(after["conditions"][1] == before["conditions"][1]);
}

TEST_CASE("a conflicted address has who answers for it, and since when, which stays while the same one does",
          "[unit]") {
  model::PoolStatus status;
  status.pool = "pool";
  status.conflicted = {{"10.0.0.5", "02:00:00:00:00:01"}, {"10.0.0.6", ""}};
  json first = PoolStatusJson(status, json::object(), absl::UnixEpoch());
  CHECK(first["conflicted"][0] ==
        json{{"address", "10.0.0.5"}, {"mac", "02:00:00:00:00:01"}, {"since", "1970-01-01T00:00:00Z"}});
  CHECK(first["conflicted"][1] == json{{"address", "10.0.0.6"}, {"since", "1970-01-01T00:00:00Z"}});
  CHECK(first["conditions"][1]["message"] ==
        "somebody else on the LAN answers for 10.0.0.5 (02:00:00:00:00:01), 10.0.0.6");
  status.conflicted[0].mac = "02:00:00:00:00:02";
  const json later = PoolStatusJson(status, first, absl::UnixEpoch() + absl::Hours(1));
  CHECK(later["conflicted"][0]["since"] == "1970-01-01T01:00:00Z");
  CHECK(later["conflicted"][1]["since"] == "1970-01-01T00:00:00Z");
  CHECK_FALSE(PoolStatusJson(model::PoolStatus(), later, absl::UnixEpoch()).contains("conflicted"));
}

TEST_CASE("a merge patch of two values makes the second of the first", "[unit]") {
  const auto [from, to] = GENERATE(table<json, json>({
      {json::parse("{}"), json::parse("{}")},
      {json::parse(R"({"a": 1, "b": {"c": 2, "d": [1, 2]}})"), json::parse(R"({"a": 1, "b": {"c": 3, "d": [1, 2]}})")},
      {json::parse(R"({"used": {"10.0.0.1": "a/b", "10.0.0.2": "c/d"}})"),
       json::parse(R"({"used": {"10.0.0.2": "c/d"}})")},
      {json::parse(R"({"a": {"b": 1}})"), json::parse(R"({"a": 5, "list": [{"x": 1}]})")},
      {json::parse(R"({"a": {"b": 1}})"), json::parse(R"({})")},
  }));
  json made = from;
  const json patch = MergeDiff(from, to);
  made.merge_patch(patch);
  CHECK(made == to);
  CHECK(patch.empty() == (from == to));
}

TEST_CASE("of an Eip that cannot be read it is known that it goes, how, and what its writes must know", "[unit]") {
  json object = Eip();
  object["spec"] = "nothing";
  object["metadata"]["finalizers"] = {"finalizer.ipam.kubesphere.io/v1alpha1", "example.com/keep"};
  object["metadata"]["annotations"] = {{"berth.io/force-delete", "true"}};
  object["metadata"]["deletionTimestamp"] = kThen;
  object["status"] = {{"usage", 3}};
  REQUIRE_FALSE(ReadPool(object).ok());
  model::Pool content = ReadPool(Eip())->pool;
  const PoolObject read = ReadPoolMetadata(object, content);
  content.deleting = content.force_delete = content.has_finalizer = true;
  CHECK(read.pool == content);
  CHECK(read.uid == "u-2");
  CHECK(read.other_finalizers == std::vector<std::string>{"example.com/keep"});
  CHECK(json::parse(read.status) == object["status"]);
}

}  // namespace
}  // namespace berth::kube
