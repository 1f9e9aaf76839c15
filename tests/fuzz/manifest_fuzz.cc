// SPDX-License-Identifier: Apache-2.0
// Manifests are written by people and programs we know nothing of: any bytes, read as YAML, as JSON and as a state
// file, give objects or problems, never a crash; and what a Service was read as is what its record brings back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <variant>

#include "controller/files/manifest/catalog.h"
#include "controller/files/state_codec.h"

namespace berth::files {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckProblems(const ParsedFile& parsed, const std::string& file) {
  for (const FileProblem& problem : parsed.problems) {
    Require(problem.text.rfind(file + ":", 0) == 0);
    for (char c : problem.text) Require(c >= ' ' && c <= '~');
    Require(parsed.whole || parsed.objects.empty());
  }
}

void CheckRecord(const model::Service& service) {
  StateData state;
  state.services[service.id].spec = std::make_shared<const model::Service>(service);
  RecordLines lines;
  lines[service.id] = EncodeRecord(service.id, state.services[service.id]);
  std::string text;
  EncodeState(0, {}, lines, [&](absl::string_view piece) { text.append(piece.data(), piece.size()); });
  const absl::StatusOr<StateData> read = DecodeState(text);
  Require(read.ok());
  // Bytes that are not UTF-8 cannot come back; everything else does.
  const std::shared_ptr<const model::Service> back = read->services.at(service.id).spec;
  Require(back && back->load_balancer == service.load_balancer && back->ports.size() == service.ports.size() &&
          back->ip_families == service.ip_families && back->created == service.created);
}

void Check(const std::string& file, const std::string& text) {
  ParsedFile parsed = ParseManifest(file, text);
  CheckProblems(parsed, file);
  for (const ParsedObject& object : parsed.objects) {
    if (const auto* service = std::get_if<model::Service>(&object.value)) CheckRecord(*service);
  }
  Catalog catalog;
  catalog.Update(file, std::move(parsed));
  for (const ObjectKey& key : catalog.TakeChanged()) Require(catalog.Find(key) != nullptr);
}

}  // namespace
}  // namespace berth::files

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  berth::files::Check("f.yaml", text);
  berth::files::Check("f.json", text);
  static_cast<void>(berth::files::DecodeState(text));
  return 0;
}
