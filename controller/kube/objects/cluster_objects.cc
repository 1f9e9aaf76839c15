// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/cluster_objects.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/quote.h"
#include "controller/files/manifest/decode.h"
#include "controller/kube/objects/json_value.h"
#include "controller/kube/objects/read_field.h"

namespace berth::kube {
namespace {

using nlohmann::json;

// `decode(reader, root)` of the object, or the first thing that is wrong with it.
template <typename Decode>
auto Read(const json& object, const std::string& who, Decode decode)
    -> absl::StatusOr<decltype(decode(std::declval<files::FieldReader&>(), std::declval<const files::Field&>()))> {
  ASSIGN_OR_RETURN(const files::Documents document, ToDocument(object));
  files::FieldReader read("", who);
  auto value = decode(read, files::Field(document.roots[0]));
  if (!read.ok()) return absl::InvalidArgumentError(read.problems().front());
  return value;
}

}  // namespace

absl::StatusOr<model::Node> ReadNode(const json& object) {
  const std::string name = StringAt(MapAt(object, "metadata"), "name");
  return Read(object, absl::StrCat("Node ", Quote(name)),
              [&](files::FieldReader& read, const files::Field& root) { return files::DecodeNode(read, root, name); });
}

absl::StatusOr<model::Namespace> ReadNamespace(const json& object) {
  const std::string name = StringAt(MapAt(object, "metadata"), "name");
  return Read(object, absl::StrCat("Namespace ", Quote(name)), [&](files::FieldReader& read, const files::Field& root) {
    return files::DecodeNamespace(read, root, name);
  });
}

absl::StatusOr<std::optional<model::EndpointSlice>> ReadEndpointSlice(const json& object) {
  const model::ObjectId id = IdOf(object);
  return Read(
      object, absl::StrCat("EndpointSlice ", Quote(id.ToString())),
      [&](files::FieldReader& read, const files::Field& root) { return files::DecodeEndpointSlice(read, root, id); });
}

}  // namespace berth::kube
