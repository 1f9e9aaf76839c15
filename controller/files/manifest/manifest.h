// SPDX-License-Identifier: Apache-2.0
// controller/files/manifest/manifest.h -- one manifest file's text to the objects in it, and what is wrong with them.
//
//   ParsedFile file = ParseManifest("web.yaml", text);
//   file.objects[0].value                     // a model::Pool, model::Service, ...
//   file.problems[0].text                     // "web.yaml:12: Eip \"eip-pool\": spec.address: ..."
//
// Pure. Kinds known: Eip (network.kubesphere.io v1alpha1 and v1alpha2), Service, Node and Namespace (v1), EndpointSlice
// (discovery.k8s.io/v1), and lists of them: "List" and "ServiceList", "EipList" and so on, as kubectl writes them.
#ifndef BERTH_CONTROLLER_FILES_MANIFEST_MANIFEST_H_
#define BERTH_CONTROLLER_FILES_MANIFEST_MANIFEST_H_

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"
#include "controller/files/manifest/value.h"
#include "controller/model/objects.h"

namespace berth::files {

enum class ObjectKind : std::uint8_t { kPool, kService, kNode, kNamespace, kEndpointSlice };

// What tells objects apart; `id.ns` is empty for kinds without a namespace.
struct ObjectKey {
  ObjectKind kind = ObjectKind::kPool;
  model::ObjectId id;
  // `Eip "eip-pool"`, `Service "default/nginx"`: as problems name it.
  std::string ToString() const;
  friend auto operator<=>(const ObjectKey&, const ObjectKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const ObjectKey& key) {
    return H::combine(std::move(h), key.kind, key.id);
  }
};

using AnyObject = std::variant<model::Pool, model::Service, model::Node, model::Namespace, model::EndpointSlice>;

struct ParsedObject {
  ObjectKey key;
  int line = 0;  // where it begins
  AnyObject value;
};

struct FileProblem {
  std::optional<ObjectKey> key;  // whose it is, when that is known
  std::string text;              // with file and line
};

struct ParsedFile {
  bool whole = true;                  // false: not readable as a whole, there are no objects
  std::vector<ParsedObject> objects;  // the good ones, in the file's order, each key once
  std::set<ObjectKey> wrong;          // keys of objects that are in the file but have a problem
  bool nameless = false;              // some object of the file has a problem and cannot be told by name
  std::vector<FileProblem> problems;
  std::map<std::string, int> other_kinds;  // "apps/v1 Deployment" -> line of the first
};

// The largest file that is read.
inline constexpr std::size_t kMaxManifestBytes = std::size_t{64} << 20;

// Whether a file of this name is a manifest: *.yaml, *.yml or *.json, and no dotfile.
bool IsManifestName(absl::string_view file);

// `file` is the name that problems begin with; its ending tells JSON from YAML.
ParsedFile ParseManifest(absl::string_view file, absl::string_view text);
// A file that could not be read at all, for the reason `what`.
ParsedFile UnreadableManifest(absl::string_view file, int line, absl::string_view what);
// The object in `value`, which is no list of objects. Adds to `out` as ParseManifest does.
void ParseObject(absl::string_view file, const Value& value, ParsedFile& out);

}  // namespace berth::files

#endif  // BERTH_CONTROLLER_FILES_MANIFEST_MANIFEST_H_
