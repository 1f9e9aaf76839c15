// SPDX-License-Identifier: Apache-2.0
// IpRangeSet against a model that keeps one small integer for each address.
//
// The model's world has 128 places in four windows of 32, laid where arithmetic is most likely to go wrong: both ends
// of IPv4, both ends of IPv6. Places sort as their addresses do, and windows never touch (not even 255.255.255.255 and
// ::).
#include <rapidcheck/catch.h>
#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <tuple>
#include <vector>

#include "common/net/ip_range.h"

namespace berth {
namespace {

constexpr int kWindow = 32;
constexpr int kPlaces = 4 * kWindow;

using Model = std::set<int>;

IpAddr At(int place) {
  const auto offset = static_cast<std::uint32_t>(place % kWindow);
  switch (place / kWindow) {
    case 0:
      return IpAddr::V4(offset);
    case 1:
      return IpAddr::V4(0xffffffffU - (kWindow - 1) + offset);
    case 2:
      return IpAddr::V6(offset);
    default:
      return IpAddr::V6(absl::Uint128Max() - (kWindow - 1) + offset);
  }
}

// An inclusive run of places within one window, picked by two arbitrary bytes.
struct Run {
  Run(std::uint8_t x, std::uint8_t y) {
    const int window = (x / kWindow) % 4 * kWindow;
    first = window + std::min(x % kWindow, y % kWindow);
    last = window + std::max(x % kWindow, y % kWindow);
  }
  IpRange range() const { return IpRange::Make(At(first), At(last)).value(); }
  int first;
  int last;
};

// One step: add or remove the run of two bytes.
using Step = std::tuple<bool, std::uint8_t, std::uint8_t>;

void Apply(const Step& step, IpRangeSet& set, Model& model) {
  const auto& [add, x, y] = step;
  const Run run(x, y);
  if (add) {
    set.Add(run.range());
  } else {
    set.Remove(run.range());
  }
  for (int place = run.first; place <= run.last; ++place) {
    if (add) {
      model.insert(place);
    } else {
      model.erase(place);
    }
  }
}

std::pair<IpRangeSet, Model> Build(const std::vector<Step>& steps) {
  std::pair<IpRangeSet, Model> built;
  for (const Step& step : steps) Apply(step, built.first, built.second);
  return built;
}

// The only right way to keep `model`: longest runs, sorted, cut where a window ends.
std::vector<IpRange> ExpectedRanges(const Model& model) {
  std::vector<IpRange> out;
  int first = 0;
  for (int place = 0; place < kPlaces; ++place) {
    if (model.count(place) == 0) continue;
    if (place % kWindow == 0 || model.count(place - 1) == 0) first = place;
    const bool ends = place % kWindow == kWindow - 1 || model.count(place + 1) == 0;
    if (ends) out.push_back(IpRange::Make(At(first), At(place)).value());
  }
  return out;
}

TEST_CASE("after any additions and removals a set has the model's members in the fewest ranges", "[unit]") {
  rc::prop("members law", [](const std::vector<Step>& steps) {
    IpRangeSet set;
    Model model;
    for (const Step& step : steps) {
      Apply(step, set, model);
      RC_ASSERT(set.ranges() == ExpectedRanges(model));
    }
    RC_ASSERT(set.size() == AddressCount(model.size()));
    RC_ASSERT(set.empty() == model.empty());
    for (int place = 0; place < kPlaces; ++place) RC_ASSERT(set.Contains(At(place)) == (model.count(place) == 1));
  });
}

TEST_CASE("First, Last and NextAtOrAfter find the model's neighbours", "[unit]") {
  rc::prop("search law", [](const std::vector<Step>& steps) {
    const auto [set, model] = Build(steps);
    RC_ASSERT(set.First() == (model.empty() ? std::nullopt : std::optional(At(*model.begin()))));
    RC_ASSERT(set.Last() == (model.empty() ? std::nullopt : std::optional(At(*model.rbegin()))));
    for (int place = 0; place < kPlaces; ++place) {
      const auto next = model.lower_bound(place);
      RC_ASSERT(set.NextAtOrAfter(At(place)) == (next == model.end() ? std::nullopt : std::optional(At(*next))));
    }
  });
}

TEST_CASE("ContainsAll and Overlaps agree with the model about any range", "[unit]") {
  rc::prop("range law", [](const std::vector<Step>& steps, std::uint8_t x, std::uint8_t y) {
    const auto [set, model] = Build(steps);
    const Run run(x, y);
    const auto inside = std::distance(model.lower_bound(run.first), model.upper_bound(run.last));
    RC_ASSERT(set.ContainsAll(run.range()) == (inside == run.last - run.first + 1));
    RC_ASSERT(set.Overlaps(run.range()) == (inside > 0));
  });
}

TEST_CASE("union, difference and overlap of two sets agree with the model", "[unit]") {
  rc::prop("two sets law", [](const std::vector<Step>& left, const std::vector<Step>& right) {
    const auto [a, model_a] = Build(left);
    const auto [b, model_b] = Build(right);
    Model both = model_a;
    both.insert(model_b.begin(), model_b.end());
    Model only_a;
    std::set_difference(model_a.begin(), model_a.end(), model_b.begin(), model_b.end(),
                        std::inserter(only_a, only_a.end()));
    IpRangeSet sum = a;
    sum.Add(b);
    RC_ASSERT(sum.ranges() == ExpectedRanges(both));
    IpRangeSet difference = a;
    difference.Remove(b);
    RC_ASSERT(difference.ranges() == ExpectedRanges(only_a));
    RC_ASSERT(a.Overlaps(b) == (only_a.size() < model_a.size()));
    RC_ASSERT(b.Overlaps(a) == a.Overlaps(b));
    RC_ASSERT((a == b) == (model_a == model_b));
  });
}

TEST_CASE("the text of a set of one family reads back as the same set", "[unit]") {
  rc::prop("text law", [](const std::vector<Step>& steps, bool v4) {
    IpRangeSet set = Build(steps).first;
    set.Remove(v4 ? IpRange::Make(At(2 * kWindow), At(kPlaces - 1)).value() : IpRange::Make(At(0), At(63)).value());
    RC_PRE(!set.empty());
    const auto back = IpRangeSet::Parse(set.ToString());
    RC_ASSERT(back.ok());
    RC_ASSERT(*back == set);
  });
}

}  // namespace
}  // namespace berth
