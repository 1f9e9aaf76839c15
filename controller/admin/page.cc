// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/page.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/net/quote.h"

namespace berth::admin {
namespace {

std::string Prefix(absl::string_view list) { return absl::StrCat("1:", list, ":"); }

}  // namespace

absl::StatusOr<std::size_t> PageSize(std::int32_t requested) {
  if (requested < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size is ", requested, "; it must not be negative, and 0 means ", kDefaultPageSize));
  }
  if (requested == 0) return static_cast<std::size_t>(kDefaultPageSize);
  return static_cast<std::size_t>(std::min(requested, kMaxPageSize));
}

std::string MakePageToken(absl::string_view list, absl::string_view key) {
  return absl::WebSafeBase64Escape(absl::StrCat(Prefix(list), key));
}

absl::StatusOr<std::string> ReadPageToken(absl::string_view list, absl::string_view token) {
  std::string text;
  const std::string prefix = Prefix(list);
  if (!absl::WebSafeBase64Unescape(token, &text) || !absl::StartsWith(text, prefix)) {
    return absl::InvalidArgumentError(absl::StrCat("page_token ", Quote(token), " is not one of the list of ", list,
                                                   "; give the next_page_token of its last page"));
  }
  return text.substr(prefix.size());
}

}  // namespace berth::admin
