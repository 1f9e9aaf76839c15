// SPDX-License-Identifier: Apache-2.0
// tests/unit/controller/files/manifest_testing.h -- short ways to write manifests and to look at what came of them.
#ifndef BERTH_TESTS_UNIT_CONTROLLER_FILES_MANIFEST_TESTING_H_
#define BERTH_TESTS_UNIT_CONTROLLER_FILES_MANIFEST_TESTING_H_

#include <catch2/catch.hpp>
#include <string>
#include <variant>
#include <vector>

#include "controller/files/manifest/manifest.h"

namespace berth::files {

inline std::vector<std::string> Texts(const ParsedFile& file) {
  std::vector<std::string> texts;
  for (const FileProblem& problem : file.problems) texts.push_back(problem.text);
  return texts;
}

// An Eip named "a" whose spec is the flow map `spec`.
inline std::string Eip(const std::string& spec, const std::string& version = "v1alpha2") {
  return "apiVersion: network.kubesphere.io/" + version + "\nkind: Eip\nmetadata: {name: a}\nspec: " + spec + "\n";
}

// A Service default/web whose spec is the flow map `spec`.
inline std::string Web(const std::string& spec) {
  return "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: " + spec + "\n";
}

// The only object of `text`, which must be without problems and of type T.
template <typename T>
T Only(const std::string& text, const std::string& file = "f.yaml") {
  const ParsedFile parsed = ParseManifest(file, text);
  CAPTURE(text, Texts(parsed));
  REQUIRE(parsed.problems.empty());
  REQUIRE(parsed.objects.size() == 1);
  REQUIRE(std::holds_alternative<T>(parsed.objects[0].value));
  return std::get<T>(parsed.objects[0].value);
}

// The only problem of `text`, none of whose objects may come through.
inline std::string OnlyProblem(const std::string& text, const std::string& file = "f.yaml") {
  const ParsedFile parsed = ParseManifest(file, text);
  CAPTURE(text, Texts(parsed));
  CHECK(parsed.objects.empty());
  REQUIRE(parsed.problems.size() == 1);
  return parsed.problems[0].text;
}

}  // namespace berth::files

#endif  // BERTH_TESTS_UNIT_CONTROLLER_FILES_MANIFEST_TESTING_H_
