// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "controller/files/manifest/plain_json.h"
#include "controller/files/manifest/read_text.h"

namespace berth::files {
namespace {

std::string Text(const Value& value) {
  std::string text = absl::StrCat(static_cast<int>(value.kind), "@", value.line, " ", value.key, "=", value.text);
  for (const Value& child : value.children) absl::StrAppend(&text, "(", Text(child), ")");
  return text;
}

std::string Text(const Documents& docs) {
  std::string text;
  for (const Value& root : docs.roots) absl::StrAppend(&text, Text(root), "\n");
  return text;
}

// What the quick way makes of it, or "no".
std::string Quick(const std::string& json) {
  Documents docs;
  TreeBuilder builder(&docs);
  return PlainJson(json, builder).Read() ? Text(docs) : "no";
}

// What the thorough way does: a byte order mark sends it there.
std::string Thorough(const std::string& json) {
  const absl::StatusOr<Documents> docs = ReadJson("\xEF\xBB\xBF" + json);
  return docs.ok() ? Text(*docs) : "no";
}

const std::string kManifest = R"({"apiVersion": "v1",
  "kind": "List", "items": [ {"a":1,"b":[true,false,null,{}],"c":"x"},
 [], [1,-1,0,-0,0.5,1e3,18446744073709551615,18446744073709551616,99999999999999999],
 {"esc\u0061pe": "l\"ine\n\\", "Zürich": "€\ud83d\ude00", "": "", "<<": "~"}
	]})";

}  // namespace

TEST_CASE("a usual manifest is read the quick way, as the thorough way reads it", "[unit]") {
  CHECK(Quick(kManifest) != "no");
  CHECK(Quick(kManifest) == Thorough(kManifest));
  CHECK(Quick("\r\n 7 \n") == Thorough("\r\n 7 \n"));
  CHECK(Quick("\"\x7f\"") == Thorough("\"\x7f\""));
}

TEST_CASE("what is not JSON is none to the quick way either", "[unit]") {
  for (const char* text :
       {"",          " ",           "{",        "}",           "[1,]",   "[,1]",  "{\"a\":1,}", "{\"a\"}",
        "{\"a\" 1}", "{a:1}",       "[1 2]",    "[1]]",        "[1}",    "01",    "-",          "1.",
        "+1",        "0x1",         "1e999",    "tru",         "nulL",   "\"a",   "\"\\\"",     "\"\\x\"",
        "\"a\tb\"",  "\"\xff\"",    "\"\xc3\"", "\"\\ud800\"", "\"\n\"", "{1:2}", "{null:1}",   "[] []",
        "{\"a\":}",  "\"\\u12g4\"", "// a\n1",  "NaN",         "'a'"}) {
    CAPTURE(text);
    CHECK(Quick(text) == "no");
    CHECK(Thorough(text) == "no");
  }
  CHECK(Quick(std::string("1\0", 2)) == "no");
  CHECK(Quick(std::string(70, '[') + std::string(70, ']')) == "no");  // too deep
}

TEST_CASE("both ways agree on manifests with a few bytes changed", "[unit]") {
  std::mt19937 random(7);
  const std::string bytes = "{}[]\",:\\ \n\t\r01-+.eEntuf/x\xc3\xbc\x7f\x01";
  int good = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string json = kManifest;
    for (std::size_t n = 1 + random() % 3; n != 0; --n) {
      const std::size_t at = random() % json.size();
      const char byte = bytes[random() % bytes.size()];
      switch (random() % 3) {
        case 0:
          json[at] = byte;
          break;
        case 1:
          json.insert(at, 1, byte);
          break;
        default:
          json.erase(at, 1);
      }
    }
    const std::string quick = Quick(json);
    CAPTURE(json);
    REQUIRE(quick == Thorough(json));
    good += quick == "no" ? 0 : 1;
  }
  CHECK(good > 400);
}

}  // namespace berth::files
