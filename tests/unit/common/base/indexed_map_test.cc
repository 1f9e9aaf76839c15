// SPDX-License-Identifier: Apache-2.0
#include "common/base/indexed_map.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace berth {
namespace {

using Map = IndexedMap<std::string, int>;

std::string Text(const Map& map) {
  std::string text;
  for (const auto& [key, value] : map) text += key + std::to_string(value) + " ";
  return text;
}

}  // namespace

TEST_CASE("an indexed map walks its keys in order and finds each", "[unit]") {
  Map map;
  std::map<std::string, int> model;
  for (int i = 0; i < 1000; ++i) {
    const std::string key = std::to_string(i * 7919 % 613);
    const bool fresh = map.try_emplace(key, i).second;
    CHECK(fresh == model.try_emplace(key, i).second);
    if (i % 3 == 0) {
      const std::string gone = std::to_string(i * 31 % 613);
      CHECK(map.erase(gone) == model.erase(gone));
    }
  }
  REQUIRE(map.size() == model.size());
  CHECK(std::equal(map.begin(), map.end(), model.begin(), model.end()));
  for (int i = 0; i < 613; ++i) {
    const std::string key = std::to_string(i);
    CAPTURE(key);
    REQUIRE(map.count(key) == model.count(key));
    if (model.count(key) == 0) {
      CHECK(map.find(key) == map.end());
    } else {
      CHECK(map.at(key) == model.at(key));
    }
  }
}

TEST_CASE("what is erased by iterator is found no more", "[unit]") {
  Map map;
  for (const char* key : {"b", "a", "c"}) map[key] = 1;
  CHECK(map.erase(map.find("b"))->first == "c");
  CHECK(map.find("b") == map.end());
  CHECK_THROWS(map.at("b"));
  CHECK(Text(map) == "a1 c1 ");
  map.clear();
  CHECK(map.empty());
  CHECK(map.count("a") == 0);
}

TEST_CASE("a copied or moved indexed map has an index of its own", "[unit]") {
  Map map;
  map["a"] = 1;
  Map copy = map;
  copy["a"] = 2;
  copy["b"] = 3;
  CHECK(map.at("a") == 1);
  CHECK(map.count("b") == 0);
  map = std::move(copy);
  CHECK(map.at("a") == 2);
  map["a"] = 5;
  CHECK(Text(map) == "a5 b3 ");
}

}  // namespace berth
