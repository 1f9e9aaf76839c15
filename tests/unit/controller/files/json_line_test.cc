// SPDX-License-Identifier: Apache-2.0
#include "controller/files/json_line.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace berth::files {

TEST_CASE("a line of JSON has its commas where they belong", "[unit]") {
  JsonLine line;
  line.Begin('{').Member("a", "b").Key("list").Begin('[').Begin('{').End('}').Number(18446744073709551615u).True();
  line.Begin('[').End(']').End(']').Key("none").Begin('{').End('}').Name("k\"").Text("").End('}');
  CHECK(line.Take() == R"({"a":"b","list":[{},18446744073709551615,true,[]],"none":{},"k\"":""})");
}

TEST_CASE("every text is read as it was written", "[unit]") {
  for (int c = 0; c < 128; ++c) {
    const std::string text = "a" + std::string(1, static_cast<char>(c)) + "b";
    JsonLine line;
    line.Text(text);
    CAPTURE(c);
    CHECK(nlohmann::json::parse(line.Take()) == text);
  }
  JsonLine line;
  line.Begin('[').Text("Zürich €").Text("\xff").End(']');
  CHECK(line.Take() == "[\"Zürich €\",\"\xEF\xBF\xBD\"]");
}

}  // namespace berth::files
