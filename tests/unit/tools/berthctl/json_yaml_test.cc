// SPDX-License-Identifier: Apache-2.0
#include "tools/berthctl/json_yaml.h"

#include <catch2/catch.hpp>

namespace berth::ctl {
namespace {

TEST_CASE("a list message becomes the YAML that kubectl would print", "[unit]") {
  CHECK(*JsonToYaml(R"({"pools":[{"name":"edge","range":"10.0.0.0/24","disabled":false,"used":"1","conflicted":[],)"
                    R"("nested":{"a":[1,2],"b":{}}},{"name":"x"}],"nextPageToken":""})") ==
        "pools:\n"
        "- name: edge\n"
        "  range: \"10.0.0.0/24\"\n"
        "  disabled: false\n"
        "  used: \"1\"\n"
        "  conflicted: []\n"
        "  nested:\n"
        "    a:\n"
        "    - 1\n"
        "    - 2\n"
        "    b: {}\n"
        "- name: x\n"
        "nextPageToken: \"\"\n");
}

TEST_CASE("strings that YAML would take for something else are quoted", "[unit]") {
  const auto text = GENERATE(as<std::string>(), "true", "No", "null", "y", "1", "1.5", "2026-01-02T03:04:05Z", "- a",
                             "a: b", "# no", "", " a", "a ", "a\\nb", "*x", "192.168.50.50", "~", "0x1F", "a #b", "{}");
  CAPTURE(text);
  CHECK(*JsonToYaml("{\"k\":\"" + text + "\"}") == "k: \"" + text + "\"\n");
}

TEST_CASE("plain words need no quotes", "[unit]") {
  CHECK(*JsonToYaml(R"({"k":"default/web","m":"interface eth0 has no carrier"})") ==
        "k: default/web\nm: interface eth0 has no carrier\n");
}

TEST_CASE("lists in lists and bare values stay well formed", "[unit]") {
  CHECK(*JsonToYaml("[[1,[2]],[],{\"a\":1,\"b\":[]}]") == "-\n  - 1\n  -\n    - 2\n- []\n- a: 1\n  b: []\n");
  CHECK(*JsonToYaml("{}") == "{}\n");
  CHECK(*JsonToYaml("\"x\"") == "x\n");
  CHECK(JsonToYaml("{").status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::ctl
