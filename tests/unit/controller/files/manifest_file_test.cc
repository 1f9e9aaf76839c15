// SPDX-License-Identifier: Apache-2.0
// Files as wholes: documents, lists, JSON, anchors, limits, and text that is neither YAML nor JSON.
#include "absl/strings/str_cat.h"
#include "controller/files/manifest/read_text.h"
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {
namespace {

std::vector<std::string> Keys(const ParsedFile& file) {
  std::vector<std::string> keys;
  for (const ParsedObject& object : file.objects) keys.push_back(object.key.ToString());
  return keys;
}

using Strings = std::vector<std::string>;

const char kTwo[] = R"(# a comment first
---
apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata: {name: eip-pool}
spec: {address: 192.168.50.50-192.168.50.60}
---
---
apiVersion: v1
kind: Service
metadata: {name: nginx}
spec: {type: LoadBalancer, ports: [{port: 80}]}
...
)";

}  // namespace

TEST_CASE("a YAML file may hold many documents, also empty ones", "[unit]") {
  const ParsedFile parsed = ParseManifest("two.yaml", kTwo);
  CHECK(Texts(parsed) == Strings{});
  CHECK(Keys(parsed) == Strings{"Eip \"eip-pool\"", "Service \"default/nginx\""});
  CHECK(parsed.objects[0].line == 3);
  CHECK(parsed.objects[1].line == 9);
  CHECK(parsed.whole);
}

TEST_CASE("a file of comments alone is a file without objects", "[unit]") {
  const std::string text = GENERATE("# nothing\n", "\n", "---\n", "---\n...\n---\n", "\xEF\xBB\xBF# with a mark\n");
  const ParsedFile parsed = ParseManifest("f.yaml", text);
  CAPTURE(text, Texts(parsed));
  CHECK(parsed.whole);
  CHECK(parsed.objects.empty());
  CHECK(parsed.problems.empty());
}

TEST_CASE("an empty file is one that is being written, not one without objects", "[unit]") {
  const ParsedFile parsed = ParseManifest("f.yaml", "");
  CHECK_FALSE(parsed.whole);
  CHECK(Texts(parsed) == Strings{"f.yaml:1: is empty; remove the file to remove its objects"});
}

TEST_CASE("JSON is read as YAML is, with lines", "[unit]") {
  const std::string text = R"({"apiVersion": "v1", "kind": "List", "items": [
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "annotations": {"<<": "x"}},
   "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}},
  {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "b"}, "spec": {
    "ports": [
      {"port": 0
      }]}}
]})";
  const ParsedFile parsed = ParseManifest("f.json", text);
  CHECK(Keys(parsed) == Strings{"Service \"default/a\""});
  CHECK(parsed.objects[0].line == 2);
  CHECK(Texts(parsed) == Strings{"f.json:6: Service \"default/b\": spec.ports[0].port: 0 is not within 1 to 65535"});
  CHECK(parsed.wrong == std::set<ObjectKey>{{ObjectKind::kService, {"default", "b"}}});
  CHECK_FALSE(parsed.nameless);
}

TEST_CASE("JSON syntax in a YAML file is read too", "[unit]") {
  const auto service = Only<model::Service>(
      R"({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"clusterIP": "None"}})");
  CHECK(service.headless);
}

TEST_CASE("lists of objects are taken apart, typed ones with their type", "[unit]") {
  const ParsedFile parsed = ParseManifest("f.yaml", R"(apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: a}}
- {apiVersion: v1, kind: ServiceList, items: [{metadata: {name: b}}]}
---
{apiVersion: network.kubesphere.io/v1alpha2, kind: EipList, items: [{metadata: {name: c}, spec: {address: 10.0.0.1}}]}
---
{apiVersion: v1, kind: NodeList, items: []}
---
{apiVersion: v1, kind: NodeList, items: }
)");
  CHECK(Texts(parsed) == Strings{});
  CHECK(Keys(parsed) == Strings{"Namespace \"a\"", "Service \"default/b\"", "Eip \"c\""});
  CHECK(OnlyProblem("{apiVersion: v1, kind: List, items: {}}\n") == "f.yaml:1: List: items: must be a list, not a map");
}

TEST_CASE("an item of a plain List has to tell its own type", "[unit]") {
  CHECK(OnlyProblem("apiVersion: v1\nkind: List\nitems:\n- {metadata: {name: a}}\n") == "f.yaml:4: has no kind");
}

TEST_CASE("kinds that Berth does not know are listed, not complained about", "[unit]") {
  const ParsedFile parsed = ParseManifest("f.yaml", R"(
{apiVersion: apps/v1, kind: Deployment, metadata: {name: nginx}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: other}}
---
{apiVersion: serving.knative.dev/v1, kind: Service, metadata: {name: s}}
---
{apiVersion: network.kubesphere.io/v1alpha2, kind: BgpConf, metadata: {name: default}}
)");
  CHECK(Texts(parsed) == Strings{});
  CHECK(parsed.objects.empty());
  CHECK(parsed.other_kinds == std::map<std::string, int>{{"apps/v1 Deployment", 2},
                                                         {"serving.knative.dev/v1 Service", 6},
                                                         {"network.kubesphere.io/v1alpha2 BgpConf", 8}});
}

TEST_CASE("a document that is no object is a problem that may hide any object", "[unit]") {
  const auto [text, problem] = GENERATE(table<std::string, std::string>({
      {"hello\n", "f.yaml:1: an object must be a map with apiVersion and kind, not a string"},
      {"- a\n",
       "f.yaml:1: an object must be a map with apiVersion and kind, not a list; put several into items of a kind: "
       "List"},
      {"a: b\n", "f.yaml:1: has no kind"},
      {"kind: Eip\n", "f.yaml:1: has no apiVersion"},
      {"apiVersion: v1\n", "f.yaml:1: has no kind"},
      {"apiVersion: 1\nkind: Service\n",
       "f.yaml:1: apiVersion: must be a string, not a number \"1\"; put it in quotes"},
      {"kind: Service\nkind: Eip\n", "f.yaml:1: has the key \"kind\" twice, remove one"},
  }));
  CHECK(OnlyProblem(text) == problem);
  CHECK(ParseManifest("f.yaml", text).nameless);
}

TEST_CASE("of an object that a file has twice the first is taken", "[unit]") {
  const ParsedFile parsed = ParseManifest("f.yaml", Eip("{address: 10.0.0.1}") + "---\n" + Eip("{address: 10.0.0.2}"));
  REQUIRE(parsed.objects.size() == 1);
  CHECK(std::get<model::Pool>(parsed.objects[0].value).address_text == "10.0.0.1");
  CHECK(Texts(parsed) ==
        Strings{"f.yaml:6: Eip \"a\": is in this file twice, the one in line 1 is used; remove one of the two"});
}

TEST_CASE("a file that is not YAML or not JSON is refused as a whole, with its line", "[unit]") {
  const auto [file, text, begin] = GENERATE(table<std::string, std::string, std::string>({
      {"f.yaml", std::string(kTwo) + "---\na: [1, 2\n", "f.yaml:"},
      {"f.yaml", "a: b\n c: d\n", "f.yaml:2: not YAML: "},
      {"f.yaml", "a: 'x'\nb: \"c\\\"\n", "f.yaml:2: not YAML: a quote without its end"},
      {"f.yaml", "a: &b 'it''s\n", "f.yaml:1: not YAML: a quote without its end"},
      {"f.yaml", "a:\n\t- b\n", "f.yaml:2: not YAML: "},
      {"f.yaml", "a: *b\n", "f.yaml:1: not YAML: "},
      {"f.yaml", "? [a]\n: b\n", "f.yaml:1: a key must be a plain word, not a list or a map"},
      {"f.yaml", "a: &x {b: c}\nd: {<<: *x}\n", "f.yaml:2: merge key \"<<\" is not supported, write the fields out"},
      {"f.yaml", "a: &x [*x]\n", "f.yaml:1: "},
      {"f.json", "{\"a\": 1,\n\"b\": }", "f.json:2: not JSON: syntax error"},
      {"f.json", "{\"a\": 1\n", "f.json:1: not JSON: syntax error"},
      {"f.json", "{}\n{}", "f.json:2: not JSON: syntax error"},
      {"f.json", "{\"a\": \"\xff\"}", "f.json:1: not JSON: "},
      {"f.json", "{\"a\": 1e999}", "f.json:1: not JSON: "},
      {"f.json", " ", "f.json:1: not JSON: syntax error"},
  }));
  const ParsedFile parsed = ParseManifest(file, text);
  CAPTURE(text, Texts(parsed));
  CHECK_FALSE(parsed.whole);
  CHECK(parsed.objects.empty());
  REQUIRE(parsed.problems.size() == 1);
  CHECK(parsed.problems[0].text.rfind(begin, 0) == 0);
  for (char c : parsed.problems[0].text) CHECK((c >= ' ' && c <= '~'));
}

TEST_CASE("text in quotes may end a file, with quotes inside", "[unit]") {
  const std::string text = GENERATE("a: 'it''s'", "a: \"it\\\"s\"\n", "'a': 'b' # '\n", "a: &x \"b\"", "a: ''");
  CHECK(ReadYaml(text).ok());
  CHECK(ReadYaml("\xEF\xBB\xBF" + text).ok());
}

TEST_CASE("anchors and aliases stand for what they name", "[unit]") {
  const auto pool = Only<model::Pool>(
      Eip("{address: &a 10.0.0.1, interface: &e eth0, namespaces: &n [x], namespaceSelector: {team: *e}}"));
  CHECK(pool.namespace_selector == model::Labels{{"team", "eth0"}});
  CHECK(OnlyProblem(Eip("{address: 10.0.0.1, namespaces: &n [x], disable: *n}")) ==
        "f.yaml:4: Eip \"a\": spec.disable: must be true or false, not a list");
}

TEST_CASE("an anchor on a key without a word names nothing", "[unit]") {
  CHECK(ReadYaml("&z : 1\n").ok());
  CHECK_FALSE(ReadYaml("&z :\n  a: *z\n").ok());
}

TEST_CASE("a file cannot make itself larger or deeper than is fair", "[unit]") {
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += "[";
  CHECK(OnlyProblem(deep + std::string(200, ']'), "f.json") == "f.json:1: nested deeper than 64 levels");
  CHECK(OnlyProblem("a: " + deep + std::string(200, ']')) == "f.yaml:1: nested deeper than 64 levels");
  // Nine levels of ten aliases each are a billion values.
  std::string laughs = "a0: &a0 [x]\n";
  for (int i = 1; i < 10; ++i) {
    absl::StrAppend(&laughs, "a", i, ": &a", i, " [*a", i - 1);
    for (int j = 1; j < 10; ++j) absl::StrAppend(&laughs, ", *a", i - 1);
    absl::StrAppend(&laughs, "]\n");
  }
  CHECK(OnlyProblem(laughs).find("values in one file, spread them over several") != std::string::npos);
  CHECK(OnlyProblem(std::string(kMaxManifestBytes + 1, ' ')) == "f.yaml:1: is larger than 64 MiB, split it");
}

TEST_CASE("plain words have the types of YAML 1.2", "[unit]") {
  using Kind = Value::Kind;
  const auto [text, kind] = GENERATE(table<std::string, Kind>({
      {"~", Kind::kNull},          {"null", Kind::kNull},
      {"\"null\"", Kind::kString}, {"true", Kind::kBool},
      {"FALSE", Kind::kBool},      {"yes", Kind::kString},
      {"off", Kind::kString},      {"'true'", Kind::kString},
      {"12", Kind::kInt},          {"-12", Kind::kInt},
      {"+1", Kind::kInt},          {"0x1F", Kind::kInt},
      {"0o17", Kind::kInt},        {"0x", Kind::kString},
      {"1.5", Kind::kFloat},       {"1e3", Kind::kFloat},
      {".5", Kind::kFloat},        {"\"12\"", Kind::kString},
      {"1.2.3.4", Kind::kString},  {"10.0.0.0/8", Kind::kString},
      {"fd00::1", Kind::kString},  {"nan", Kind::kString},
      {"inf", Kind::kString},      {"-", Kind::kNull},
      {"!!str 12", Kind::kString}, {"1_000", Kind::kString},
      {"12:30", Kind::kString},    {"|\n  12\n", Kind::kString},
  }));
  if (text == "-") return;  // an empty list item, not a word
  const absl::StatusOr<Documents> docs = ReadYaml("key: " + text + "\n");
  CAPTURE(text);
  REQUIRE(docs.ok());
  CHECK(KindWords(docs->roots[0].Find("key")->kind) == KindWords(kind));
}

TEST_CASE("only visible files with a manifest's ending are manifests", "[unit]") {
  for (const char* name : {"a.yaml", "a.yml", "a.json", "a.b.yaml"}) CHECK(IsManifestName(name));
  for (const char* name : {"", ".yaml", ".a.yaml", "a.yaml~", "a.yaml.swp", "a.txt", "yaml", "..data"}) {
    CHECK_FALSE(IsManifestName(name));
  }
}

}  // namespace berth::files
