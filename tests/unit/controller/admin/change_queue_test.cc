// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/change_queue.h"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace berth::admin {
namespace {

model::ChangeView PoolIs(std::string name, std::string message = {}, bool gone = false) {
  model::ChangeView view;
  view.gone = gone;
  view.pool.emplace();
  view.pool->name = std::move(name);
  view.pool->message = std::move(message);
  return view;
}
model::ChangeView PoolGone(std::string name) { return PoolIs(std::move(name), {}, true); }

std::vector<std::string> Drain(ChangeQueue& queue) {
  std::vector<std::string> told;
  while (const auto change = queue.Pop()) {
    told.push_back(absl::StrCat(v1::Change::Kind_Name(change->kind()), change->has_pool() ? " " : "",
                                change->pool().name(), change->pool().message()));
  }
  return told;
}
using Told = std::vector<std::string>;

TEST_CASE("a watcher hears of each object first as added, then as changed, then as gone", "[unit]") {
  ChangeQueue queue;
  queue.Push(PoolIs("a"));
  CHECK(Drain(queue) == Told{"ADDED a"});
  queue.Push(PoolIs("a", "!"));
  CHECK(Drain(queue) == Told{"CHANGED a!"});
  queue.Push(PoolGone("a"));
  CHECK(Drain(queue) == Told{"GONE a"});
  queue.Push(PoolIs("a"));
  CHECK(Drain(queue) == Told{"ADDED a"});
}

TEST_CASE("an object that is known already is never added", "[unit]") {
  ChangeQueue queue;
  queue.Know(PoolIs("a"));
  CHECK(Drain(queue).empty());
  queue.Push(PoolIs("a"));
  CHECK(Drain(queue) == Told{"CHANGED a"});
}

TEST_CASE("a slow watcher gets the newest state of each object, in the order they came", "[unit]") {
  ChangeQueue queue;
  queue.Know(PoolIs("c"));
  queue.Push(PoolIs("a", "1"));
  queue.Push(PoolIs("b", "1"));
  queue.Push(PoolIs("c", "1"));
  queue.Push(PoolIs("a", "2"));
  queue.Push(PoolIs("c", "2"));
  CHECK(Drain(queue) == Told{"ADDED a2", "ADDED b1", "CHANGED c2"});
}

TEST_CASE("what comes and goes untold is not told", "[unit]") {
  ChangeQueue queue;
  queue.Push(PoolIs("a"));
  queue.Push(PoolGone("a"));
  queue.Push(PoolGone("never-seen"));
  CHECK(Drain(queue).empty());
  queue.Push(PoolIs("a"));
  CHECK(Drain(queue) == Told{"ADDED a"});
}

TEST_CASE("what goes and comes back untold has changed", "[unit]") {
  ChangeQueue queue;
  queue.Know(PoolIs("a"));
  queue.Push(PoolGone("a"));
  queue.Push(PoolIs("a", "new"));
  CHECK(Drain(queue) == Told{"CHANGED anew"});
  queue.Push(PoolIs("a", "x"));
  queue.Push(PoolGone("a"));
  CHECK(Drain(queue) == Told{"GONE a"});
}

TEST_CASE("objects of different kinds and one name are different objects", "[unit]") {
  ChangeQueue queue;
  queue.Push(PoolIs("a"));
  model::ChangeView agent;
  agent.agent.emplace();
  agent.agent->node = "a";
  queue.Push(agent);
  REQUIRE(queue.Pop()->has_pool());
  const auto second = queue.Pop();
  REQUIRE(second.has_value());
  CHECK(second->kind() == v1::Change::ADDED);
  CHECK(second->agent().node() == "a");
}

TEST_CASE("SYNCED comes after what was there before it and before what follows", "[unit]") {
  ChangeQueue queue;
  queue.Push(PoolIs("a"));
  queue.PushSynced();
  queue.Push(PoolIs("b"));
  CHECK(Drain(queue) == Told{"ADDED a", "SYNCED", "ADDED b"});
}

}  // namespace
}  // namespace berth::admin
