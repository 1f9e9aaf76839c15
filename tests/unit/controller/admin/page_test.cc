// SPDX-License-Identifier: Apache-2.0
#include "controller/admin/page.h"

#include <catch2/catch.hpp>

namespace berth::admin {
namespace {

absl::StatusOr<Page<int>> Take(std::vector<int> items, std::int32_t size, const std::string& token,
                               const char* list = "numbers") {
  return TakePage(
      std::move(items), size, token, list, [](int i) { return i; }, [](int i) { return std::to_string(i); },
      [](const std::string& text) -> absl::StatusOr<int> { return std::stoi(text); });
}

TEST_CASE("pages follow each other without a gap or a double", "[unit]") {
  std::vector<int> all;
  for (int i = 0; i < 1001; ++i) all.push_back(i * 2);
  std::vector<int> seen;
  std::string token;
  int pages = 0;
  do {
    const auto page = Take(all, 100, token);
    REQUIRE(page.ok());
    CHECK(page->items.size() == (pages < 10 ? 100 : 1));
    seen.insert(seen.end(), page->items.begin(), page->items.end());
    token = page->next_page_token;
    ++pages;
  } while (!token.empty());
  CHECK(pages == 11);
  CHECK(seen == all);
}

TEST_CASE("a list that ends with a full page has no empty page after it", "[unit]") {
  const auto page = Take({1, 2, 3}, 3, "");
  REQUIRE(page.ok());
  CHECK(page->items.size() == 3);
  CHECK(page->next_page_token.empty());
}

TEST_CASE("objects that come and go between pages neither hide nor repeat others", "[unit]") {
  const auto first = Take({10, 20, 30, 40}, 2, "");
  REQUIRE(first.ok());
  // 20, the last one seen, went; 5 and 25 came.
  const auto second = Take({5, 10, 25, 30, 40}, 10, first->next_page_token);
  REQUIRE(second.ok());
  CHECK(second->items == std::vector<int>{25, 30, 40});
}

TEST_CASE("an empty list is one empty page", "[unit]") {
  const auto page = Take({}, 0, "");
  REQUIRE(page.ok());
  CHECK(page->items.empty());
  CHECK(page->next_page_token.empty());
}

TEST_CASE("page sizes are defaulted, cut and refused", "[unit]") {
  CHECK(*PageSize(0) == 500);
  CHECK(*PageSize(7) == 7);
  CHECK(*PageSize(2147483647) == 5000);
  CHECK(PageSize(-1).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a token that is none, or of another list, is refused", "[unit]") {
  const auto first = Take({1, 2}, 1, "");
  REQUIRE(first.ok());
  CHECK(Take({1, 2}, 1, first->next_page_token, "letters").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Take({1, 2}, 1, "%%%").status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(Take({1, 2}, 1, "bm8").status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a key of any bytes comes back from its token", "[unit]") {
  const std::string key("a/b:\n\0\xff c", 9);
  CHECK(*ReadPageToken("things", MakePageToken("things", key)) == key);
}

}  // namespace
}  // namespace berth::admin
