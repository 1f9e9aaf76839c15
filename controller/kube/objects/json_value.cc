// SPDX-License-Identifier: Apache-2.0
#include "controller/kube/objects/json_value.h"

#include <nlohmann/json.hpp>
#include <string>

#include "common/base/status_macros.h"

namespace berth::kube {
namespace {

using files::TreeBuilder;
using files::Value;
using nlohmann::json;

absl::Status Build(const json& value, TreeBuilder& out) {
  constexpr int kNoLine = 0;
  switch (value.type()) {
    case json::value_t::object:
      RETURN_IF_ERROR(out.StartMap(kNoLine));
      for (const auto& [key, child] : value.items()) {
        if (key == "managedFields") continue;
        RETURN_IF_ERROR(out.Scalar(Value::Kind::kNull, key, kNoLine));
        RETURN_IF_ERROR(Build(child, out));
      }
      return out.End();
    case json::value_t::array:
      RETURN_IF_ERROR(out.StartList(kNoLine));
      for (const json& child : value) RETURN_IF_ERROR(Build(child, out));
      return out.End();
    case json::value_t::string:
      return out.Scalar(Value::Kind::kString, value.get_ref<const std::string&>(), kNoLine);
    case json::value_t::boolean:
      return out.Scalar(Value::Kind::kBool, value.get<bool>() ? "true" : "false", kNoLine);
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return out.Scalar(Value::Kind::kInt, value.dump(), kNoLine);
    case json::value_t::number_float:
      return out.Scalar(Value::Kind::kFloat, value.dump(), kNoLine);
    default:
      return out.Scalar(Value::Kind::kNull, "", kNoLine);
  }
}

}  // namespace

absl::StatusOr<files::Documents> ToDocument(const json& object) {
  files::Documents documents;
  TreeBuilder builder(&documents);
  RETURN_IF_ERROR(Build(object, builder));
  return documents;
}

}  // namespace berth::kube
