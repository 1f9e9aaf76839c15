// SPDX-License-Identifier: Apache-2.0
#include "controller/files/manifest/catalog.h"
#include "tests/unit/controller/files/manifest_testing.h"

namespace berth::files {
namespace {

using Strings = std::vector<std::string>;

std::string Named(const std::string& name, const std::string& address) {
  return "---\napiVersion: network.kubesphere.io/v1alpha2\nkind: Eip\nmetadata: {name: " + name +
         "}\nspec: {address: " + address + "}\n";
}

ObjectKey Key(const std::string& name) { return {ObjectKind::kPool, {"", name}}; }

struct Folder {
  Catalog catalog;
  // Names of the pools that may have changed.
  Strings Write(const std::string& file, const std::string& text) {
    catalog.Update(file, ParseManifest(file, text));
    return Changed();
  }
  Strings Changed() {
    Strings names;
    for (const ObjectKey& key : catalog.TakeChanged()) names.push_back(key.id.name);
    return names;
  }
  // The address of the pool in force, or "none".
  std::string At(const std::string& name) const {
    const std::shared_ptr<const ParsedObject> object = catalog.Find(Key(name));
    return object == nullptr ? "none" : std::get<model::Pool>(object->value).address_text;
  }
};

}  // namespace

TEST_CASE("a file's objects come, change and go with it", "[unit]") {
  Folder folder;
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.1") + Named("b", "10.0.0.2")) == Strings{"a", "b"});
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.1") + Named("b", "10.0.0.3")) == Strings{"b"});
  CHECK(folder.At("b") == "10.0.0.3");
  CHECK(folder.Write("f.yaml", Named("b", "10.0.0.3")) == Strings{"a"});
  CHECK(folder.At("a") == "none");
  folder.catalog.Remove("f.yaml");
  CHECK(folder.Changed() == Strings{"b"});
  CHECK(folder.At("b") == "none");
  folder.catalog.Remove("never.yaml");
  CHECK(folder.Changed().empty());
}

TEST_CASE("a file that cannot be read keeps all its objects in force", "[unit]") {
  Folder folder;
  folder.Write("f.yaml", Named("a", "10.0.0.1"));
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.2") + "---\n{") == Strings{});
  CHECK(folder.At("a") == "10.0.0.1");
  REQUIRE(folder.catalog.Problems().size() == 1);
  CHECK(folder.catalog.Problems()[0].find("(what the file held before stays in force)") != std::string::npos);
  CHECK(folder.Write("f.yaml", "") == Strings{});
  CHECK(folder.At("a") == "10.0.0.1");
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.2")) == Strings{"a"});
  CHECK(folder.catalog.Problems().empty());
}

TEST_CASE("an object with a problem keeps its last good version, the others follow the file, and none is deleted",
          "[unit]") {
  Folder folder;
  folder.Write("f.yaml", Named("a", "10.0.0.1") + Named("b", "10.0.0.2") + Named("c", "10.0.0.3"));
  CHECK(folder.Write("f.yaml", Named("a", "wrong") + Named("b", "10.0.0.4") + Named("d", "bad")) == Strings{"b"});
  CHECK(folder.At("a") == "10.0.0.1");
  CHECK(folder.At("b") == "10.0.0.4");
  CHECK(folder.At("c") == "10.0.0.3");  // perhaps the file is cut off before it
  CHECK(folder.At("d") == "none");
  const Strings problems = folder.catalog.Problems();
  REQUIRE(problems.size() == 2);
  CHECK(problems[0].rfind("f.yaml:5: Eip \"a\": spec.address: ", 0) == 0);
  CHECK(problems[0].find(" (its last good version stays in force)") != std::string::npos);
  CHECK(problems[1].find("stays in force") == std::string::npos);  // there was none
  CHECK(folder.catalog.PoolsNotInForce() == std::map<std::string, std::string>{{"d", problems[1]}});
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.6") + Named("b", "10.0.0.4")) == Strings{"a", "c"});
  CHECK(folder.At("c") == "none");
}

TEST_CASE("while an object cannot be told by name, none of its file is taken for deleted", "[unit]") {
  Folder folder;
  folder.Write("f.yaml", Named("a", "10.0.0.1") + Named("b", "10.0.0.2"));
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.5") + Named("B!", "10.0.0.2")) == Strings{"a"});
  CHECK(folder.At("a") == "10.0.0.5");
  CHECK(folder.At("b") == "10.0.0.2");
  CHECK(folder.Write("f.yaml", Named("a", "10.0.0.5")) == Strings{"b"});
  CHECK(folder.At("b") == "none");
}

TEST_CASE("of an object in two files the first file by name counts", "[unit]") {
  Folder folder;
  folder.Write("b.yaml", Named("x", "10.0.0.2"));
  CHECK(folder.Write("a.yaml", Named("x", "10.0.0.1")) == Strings{"x"});
  CHECK(folder.At("x") == "10.0.0.1");
  CHECK(folder.catalog.FileOf(Key("x")) == "a.yaml");
  CHECK(folder.catalog.Problems() ==
        Strings{"b.yaml:2: Eip \"x\": is in a.yaml:2 too, which is used; remove one of the two"});
  folder.catalog.Remove("a.yaml");
  CHECK(folder.Changed() == Strings{"x"});
  CHECK(folder.At("x") == "10.0.0.2");
  CHECK(folder.catalog.Problems().empty());
}

TEST_CASE("an object that moves to another file within one look is never gone", "[unit]") {
  Folder folder;
  folder.Write("a.yaml", Named("x", "10.0.0.1"));
  folder.catalog.Update("a.yaml", ParseManifest("a.yaml", "# moved\n"));
  folder.catalog.Update("b.yaml", ParseManifest("b.yaml", Named("x", "10.0.0.1")));
  folder.Changed();
  CHECK(folder.At("x") == "10.0.0.1");
}

TEST_CASE("what was known of an unreadable file before is in force, and goes once the file is read without it",
          "[unit]") {
  Folder folder;
  folder.catalog.Seed("f.yaml", ParseManifest("f.yaml", Named("a", "10.0.0.1")).objects[0]);
  CHECK(folder.catalog.files() == Strings{"f.yaml"});
  CHECK(folder.Write("f.yaml", "{") == Strings{});
  CHECK(folder.At("a") == "10.0.0.1");
  CHECK(folder.Write("f.yaml", Named("b", "10.0.0.2")) == Strings{"a", "b"});
  CHECK(folder.At("a") == "none");
}

TEST_CASE("other kinds are told with the first place they are in", "[unit]") {
  Folder folder;
  folder.Write("b.yaml", "{apiVersion: apps/v1, kind: Deployment}\n");
  folder.Write("a.yaml", "# first\n{apiVersion: apps/v1, kind: Deployment}\n");
  CHECK(folder.catalog.OtherKinds() == std::map<std::string, std::string>{{"apps/v1 Deployment", "a.yaml:2"}});
}

TEST_CASE("an Eip is not in force only while no file has a good version of it, and all its problems are told",
          "[unit]") {
  Folder folder;
  folder.Write("b.yaml",
               "apiVersion: network.kubesphere.io/v1alpha2\nkind: Eip\nmetadata: {name: x}\n"
               "spec: {address: wrong, protocol: pigeon}\n");
  const auto pools = folder.catalog.PoolsNotInForce();
  REQUIRE(pools.size() == 1);
  CHECK(pools.at("x").rfind("b.yaml:4: Eip \"x\": spec.address: ", 0) == 0);
  CHECK(pools.at("x").find("; b.yaml:4: Eip \"x\": spec.protocol: ") != std::string::npos);
  folder.Write("a.yaml", Named("x", "10.0.0.1"));
  CHECK(folder.catalog.PoolsNotInForce().empty());
  folder.catalog.Remove("a.yaml");
  CHECK(folder.catalog.PoolsNotInForce() == pools);
}

}  // namespace berth::files
