// SPDX-License-Identifier: Apache-2.0
// controller/admin/page.h -- pages of a sorted list (AIP-158). Pure.
//
//   ASSIGN_OR_RETURN(Page page, TakePage(views, request.page_size(), request.page_token(), "pools", KeyOf, ParseKey));
//   for (const PoolView& pool : page.items) ...
//
// A page's token is the key of its last object, so the next page begins after that key whatever has come or gone since.
#ifndef BERTH_CONTROLLER_ADMIN_PAGE_H_
#define BERTH_CONTROLLER_ADMIN_PAGE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace berth::admin {

inline constexpr std::int32_t kDefaultPageSize = 500;
inline constexpr std::int32_t kMaxPageSize = 5000;

// What a request's page_size stands for. Errors: InvalidArgument when negative.
absl::StatusOr<std::size_t> PageSize(std::int32_t requested);

// Opaque text around `key`, good for the list named `list` only.
std::string MakePageToken(absl::string_view list, absl::string_view key);
// The key. Errors: InvalidArgument when `token` was not made for `list`.
absl::StatusOr<std::string> ReadPageToken(absl::string_view list, absl::string_view token);

template <typename Item>
struct Page {
  std::vector<Item> items;
  std::string next_page_token;  // empty on the last page
};

// `items` are sorted by `key_of`, each key once. `to_text` and `from_text` make a key text and back; `from_text`
// returns a StatusOr. Errors: InvalidArgument for a negative size or a token of no or another list.
template <typename Item, typename KeyOf, typename ToText, typename FromText>
absl::StatusOr<Page<Item>> TakePage(std::vector<Item> items, std::int32_t page_size, const std::string& page_token,
                                    absl::string_view list, KeyOf key_of, ToText to_text, FromText from_text) {
  ASSIGN_OR_RETURN(const std::size_t size, PageSize(page_size));
  auto first = items.begin();
  if (!page_token.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadPageToken(list, page_token));
    ASSIGN_OR_RETURN(const auto last_key, from_text(text));
    first =
        std::partition_point(items.begin(), items.end(), [&](const Item& item) { return !(last_key < key_of(item)); });
  }
  const auto left = static_cast<std::size_t>(items.end() - first);
  const auto end = first + static_cast<std::ptrdiff_t>(std::min(size, left));
  Page<Item> page;
  if (end != items.end()) page.next_page_token = MakePageToken(list, to_text(key_of(*(end - 1))));
  page.items.assign(std::make_move_iterator(first), std::make_move_iterator(end));
  return page;
}

}  // namespace berth::admin

#endif  // BERTH_CONTROLLER_ADMIN_PAGE_H_
