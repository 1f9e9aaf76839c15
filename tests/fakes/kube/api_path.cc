// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/kube/api_path.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_split.h"

namespace berth::kube {
namespace {

std::optional<std::string> Unescape(absl::string_view text, bool plus_is_space) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
          !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
        return std::nullopt;
      }
      plain += absl::HexStringToBytes(text.substr(i + 1, 2));
      i += 2;
    } else {
      plain += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return plain;
}

}  // namespace

std::string ApiPath::Query(const std::string& key) const {
  const auto found = query.find(key);
  return found == query.end() ? std::string() : found->second;
}

bool ApiPath::QueryIs(const std::string& key) const { return Query(key) == "true" || Query(key) == "1"; }

std::optional<ApiPath> ParseApiPath(absl::string_view path) {
  ApiPath out;
  const std::pair<absl::string_view, absl::string_view> halves = absl::StrSplit(path, absl::MaxSplits('?', 1));
  std::vector<std::string> steps;
  for (const absl::string_view step : absl::StrSplit(halves.first, '/', absl::SkipEmpty())) {
    std::optional<std::string> plain = Unescape(step, false);
    if (!plain) return std::nullopt;
    steps.push_back(*std::move(plain));
  }
  for (const absl::string_view pair : absl::StrSplit(halves.second, '&', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> sides = absl::StrSplit(pair, absl::MaxSplits('=', 1));
    std::optional<std::string> key = Unescape(sides.first, true), value = Unescape(sides.second, true);
    if (!key || !value) return std::nullopt;
    out.query[*key] = *value;
  }
  std::size_t at = 0;
  const auto take = [&](std::string& into) {
    if (at < steps.size()) into = steps[at++];
  };
  std::string root;
  take(root);
  if (root == "apis") take(out.group);
  if (root != "api" && root != "apis") return std::nullopt;
  take(out.version);
  // /namespaces/NS alone, and its own subresources, mean the namespace itself.
  if (at + 2 < steps.size() && steps[at] == "namespaces" && steps[at + 2] != "status" && steps[at + 2] != "finalize") {
    out.ns = steps[at + 1];
    at += 2;
  }
  take(out.resource);
  take(out.name);
  take(out.subresource);
  if (out.resource.empty() || at != steps.size()) return std::nullopt;
  return out;
}

}  // namespace berth::kube
