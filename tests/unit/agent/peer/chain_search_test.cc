// SPDX-License-Identifier: Apache-2.0
// Looks through every history of three agents and one address in which up to three things go wrong, at any time: the
// agents decide by the real Seat. docs/candidates-chain.md tells what is shown here.
#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/sanitized.h"
#include "tests/unit/agent/peer/chain_model.h"

namespace berth::agent::peer {
namespace {

using FaultKind = Fault::Kind;

const Fault kQuiet{};
constexpr int kForever = 1000;

std::vector<Fault> FaultsIn(const Model& m, std::size_t partitions) {
  std::vector<Fault> faults;
  for (std::size_t p = 0; p < partitions; ++p) faults.push_back({FaultKind::kPartition, static_cast<int>(p)});
  int up = 0;
  for (int i = 0; i < kAgents; ++i) up |= m.at(i).life == Life::kDead ? 0 : 1 << i;
  for (int mask = 1; mask < 1 << kAgents; ++mask) {
    if ((mask & up) != mask) continue;
    faults.push_back({FaultKind::kKill, mask});
    faults.push_back({FaultKind::kLoseProbes, mask});
    faults.push_back({FaultKind::kLoseArp, mask});
  }
  faults.push_back({FaultKind::kLoseClaims, 0});
  for (int i = 0; i < kAgents; ++i) {
    switch (m.at(i).life) {
      case Life::kUp:
        faults.insert(faults.end(), {{FaultKind::kFreeze, i}, {FaultKind::kBlank, i}, {FaultKind::kUnsaved, i}});
        break;
      case Life::kFrozen:
        faults.push_back({FaultKind::kThaw, i});
        break;
      case Life::kDead:
        faults.push_back({FaultKind::kStart, i});
        break;
      case Life::kBlank:
        break;
    }
  }
  return faults;
}

// How many ticks a state stays wrong, now or later, when nothing more happens: 0 for one that is right for good,
// kForever for one that never becomes so. A state is right when each part of the LAN has at most one agent that
// announces, and has one where an agent can.
class Quiet {
 public:
  int TicksUntilRight(Model m) {
    std::vector<std::pair<std::string, bool>> path;
    int known = -1;
    for (;;) {
      std::string key = m.Key();
      if (const auto it = ticks_.find(key); it != ticks_.end()) {
        known = it->second;
        break;
      }
      const auto again = std::find_if(path.begin(), path.end(), [&](const auto& p) { return p.first == key; });
      if (again != path.end()) {
        known = std::all_of(again, path.end(), [](const auto& p) { return p.second; }) ? 0 : kForever;
        for (auto it = again; it != path.end(); ++it) ticks_[it->first] = known;
        path.erase(again, path.end());
        break;
      }
      path.emplace_back(std::move(key), m.Settled());
      m.Tick(kQuiet);
    }
    for (auto it = path.rbegin(); it != path.rend(); ++it) {
      if (known != 0 || !it->second) known = std::min(known + 1, kForever);
      ticks_[it->first] = known;
    }
    return known;
  }

 private:
  std::unordered_map<std::string, int> ticks_;
};

struct Searched {
  std::size_t states = 0;
  int worst = 0;                     // ticks
  std::vector<std::string> history;  // that leads there
};

Searched Search(const Model& first, int most_faults) {
  struct Reached {
    Model model;
    int faults;
    std::size_t from;
    Fault by;
  };
  const std::vector<Partition> partitions = AllPartitions();
  Quiet quiet;
  std::deque<Reached> all;  // in the order found, which is that of the search
  std::unordered_map<std::string, int> fewest;
  Searched out;
  const auto reach = [&](const Model& m, int faults, std::size_t from, const Fault& by) {
    const auto [it, fresh] = fewest.try_emplace(m.Key(), faults);
    if (!fresh && it->second <= faults) return;
    it->second = faults;
    all.push_back({m, faults, from, by});
    const int ticks = quiet.TicksUntilRight(m);
    if (ticks <= out.worst) return;
    out.worst = ticks;
    out.history.clear();
    for (std::size_t at = all.size() - 1;; at = all[at].from) {
      const Reached& r = all[at];
      out.history.push_back(absl::StrCat("fault ", static_cast<int>(r.by.kind), " of ", r.by.a, ": ", r.model.Text()));
      if (at == 0) break;
    }
    std::reverse(out.history.begin(), out.history.end());
  };
  reach(first, 0, 0, kQuiet);
  for (std::size_t at = 0; at < all.size(); ++at) {
    const Model model = all[at].model;
    const int faults = all[at].faults;
    if (fewest[model.Key()] < faults) continue;  // reached again with fewer
    Model next = model;
    next.Tick(kQuiet);
    reach(next, faults, at, kQuiet);
    if (faults == most_faults) continue;
    for (const Fault& fault : FaultsIn(model, partitions.size())) {
      next = model;
      next.Befall(fault, partitions);
      next.Tick(fault);
      reach(next, faults + 1, at, fault);
    }
  }
  out.states = fewest.size();
  return out;
}

TEST_CASE("three faults at any time: soon exactly one agent announces in each part of the LAN, for good", "[unit]") {
  constexpr int kFaults = kSanitized ? 2 : 3;
  Model first;
  first.backwards = GENERATE(false, true);
  first.gateway_known = GENERATE(false, true);
  const Searched searched = Search(first, kFaults);
  for (const std::string& line : searched.history) UNSCOPED_INFO(line);
  // 5 s of them are the pause after an answer on the LAN of somebody whose probes are not answered.
  CHECK(searched.worst <= 30);
  CHECK(searched.states > (kSanitized ? 1'000 : 100'000));
}

TEST_CASE("the search finds that rivals must exchange claims", "[unit]") {
  Model first;
  first.deaf = true;
  CHECK(Search(first, 2).worst == kForever);
}

// Runs what befalls the cluster, then counts the ticks until everything is right, for good.
int TicksAfter(Model& m, const Fault& fault) {
  const std::vector<Partition> partitions = AllPartitions();
  m.Befall(fault, partitions);
  Quiet quiet;
  return quiet.TicksUntilRight(m);
}

constexpr int kFailover = 7;  // 1.4 s, of the 1.5 s promised
constexpr int kHeal = 5;      // 1 s

TEST_CASE("holder and first candidate die together, at any moment of the probes: the second takes over", "[unit]") {
  for (const int dead : {0b001, 0b011}) {
    Model m;
    for (int i = 0; i < 3; ++i) m.Tick(kQuiet);
    CHECK(TicksAfter(m, {FaultKind::kKill, dead}) <= kFailover);
    CHECK(TicksAfter(m, {FaultKind::kKill, dead}) > 0);
  }
}

TEST_CASE("a LAN that was split in any way and is whole again has one who announces", "[unit]") {
  const std::vector<Partition> partitions = AllPartitions();
  REQUIRE(partitions.size() == 15);
  for (int split = 0; split < 15; ++split) {
    Model m;
    m.Befall({FaultKind::kPartition, split}, partitions);
    for (int tick = 0; tick < 40; ++tick) {
      m.Tick(kQuiet);
      Model healed = m;
      CAPTURE(split, tick, m.Text());
      CHECK(TicksAfter(healed, {FaultKind::kPartition, 0}) <= (tick < 10 ? kFailover : kHeal));
    }
  }
}

}  // namespace
}  // namespace berth::agent::peer
