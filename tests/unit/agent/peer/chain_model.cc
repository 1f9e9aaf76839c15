// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/agent/peer/chain_model.h"

namespace berth::agent::peer {
namespace {

using FaultKind = Fault::Kind;

bool Has(int mask, int i) { return (mask >> i & 1) != 0; }
constexpr const char* kStates[] = {"watching", "waiting", "pausing", "asking", "contesting", "SPEAKING"};
constexpr const char* kLives[] = {"", " frozen", " dead", " blank"};

}  // namespace

// The agent's process starts from its disk: what it held is to be asked about, and so is everything else, since what
// it knew of others may not have been saved.
void Model::StartAnew(int i) {
  Member& m = at(i);
  m.life = Life::kUp;
  m.seat = Seat::Pausing(now + kTick);
  m.age.fill(0);
  m.clock = m.version;
}

void Model::Befall(const Fault& fault, const std::vector<Partition>& partitions) {
  switch (fault.kind) {
    case FaultKind::kPartition:
      partition = partitions[static_cast<std::size_t>(fault.a)];
      break;
    case FaultKind::kKill:
      for (int i = 0; i < kAgents; ++i) {
        if (Has(fault.a, i)) at(i).life = Life::kDead;
      }
      break;
    case FaultKind::kUnsaved:
      at(fault.a).saved = false;
      at(fault.a).version = 1;
      StartAnew(fault.a);
      break;
    case FaultKind::kStart:
      StartAnew(fault.a);
      break;
    case FaultKind::kFreeze:
      at(fault.a).life = Life::kFrozen;
      at(fault.a).asleep = 0;
      break;
    case FaultKind::kThaw: {
      Member& m = at(fault.a);
      m.life = Life::kUp;
      if (m.asleep < kTimeout) break;  // not long enough to be noticed by anybody
      if (m.seat.Holds() || m.seat.state() == Seat::State::kAsking) m.seat = Seat::Pausing(now + kTick);
      m.age.fill(0);
      break;
    }
    case FaultKind::kBlank:
      at(fault.a).life = Life::kBlank;
      at(fault.a).saved = false;
      break;
    default:
      break;
  }
}

Scene Model::SceneOf(int i) const {
  Scene scene{.rank = static_cast<std::uint32_t>(i), .heard = 0};
  for (int j = 0; j < kAgents; ++j) {
    if (j != i && at(i).age[static_cast<std::size_t>(j)] < kTimeout && at(j).life != Life::kBlank) {
      scene.heard |= 1U << j;
    }
  }
  return scene;
}

bool Model::HearsAnybody(int i) const {
  for (int j = 0; j < kAgents; ++j) {
    if (j != i && at(i).age[static_cast<std::size_t>(j)] < kTimeout) return true;
  }
  return false;
}

Claim Model::ClaimOf(int i) const {
  return {.held = at(i).seat.Holds(),
          .led = false,
          .stamp = {.term = 1, .version = at(i).version},
          .rank = static_cast<std::uint32_t>(i)};
}

// Each agent asks each other one, and is answered by those that run and that it reaches.
void Model::Probe(const Fault& fault) {
  for (int i = 0; i < kAgents; ++i) {
    Member& m = at(i);
    if (m.life != Life::kUp) continue;
    for (int j = 0; j < kAgents; ++j) {
      if (j == i) continue;
      std::uint8_t& age = m.age[static_cast<std::size_t>(j)];
      const bool runs = at(j).life == Life::kUp || at(j).life == Life::kBlank;
      if (!runs || !Joined(i, j) || (fault.kind == FaultKind::kLoseProbes && Has(fault.a, i))) {
        age = static_cast<std::uint8_t>(std::min(age + 1, kTimeout));
        continue;
      }
      m.clock = std::max({m.clock, at(j).version, at(j).clock});
      if (age >= kTimeout) m.seat.Doubt(j);
      age = 0;
    }
  }
}

// Whoever doubts asks, and is told by return; who is asked while it speaks doubts in its turn.
void Model::Exchange(const Fault& fault) {
  if (deaf || fault.kind == FaultKind::kLoseClaims) return;
  for (int i = 0; i < kAgents; ++i) {
    for (int j = 0; j < kAgents; ++j) {
      if (j == i || at(i).life != Life::kUp || at(j).life != Life::kUp || !Joined(i, j)) continue;
      if (!Has(static_cast<int>(at(i).seat.doubts()), j)) continue;
      if (at(j).seat.state() == Seat::State::kSpeaking && Beats(ClaimOf(i), ClaimOf(j), i < j)) at(j).seat.Doubt(i);
      const Claim claim = ClaimOf(j);
      if (at(i).seat.Told(j, claim, Beats(claim, ClaimOf(i), j < i)) == Seat::Act::kSpeak) Spoke(i, fault);
    }
  }
}

// Its gratuitous frame crosses the LAN.
void Model::Spoke(int i, const Fault& fault) {
  if (fault.kind == FaultKind::kLoseArp && Has(fault.a, i)) return;
  for (int j = 0; j < kAgents; ++j) {
    if (j != i && Joined(i, j) && Speaks(j)) at(j).seat.RivalSpoke(i, SceneOf(j), timing_, now);
  }
}

std::uint8_t Model::Answering(int i, const Fault& fault) const {
  std::uint8_t mask = 0;
  for (int j = 0; j < kAgents; ++j) {
    if (j == i || !Joined(i, j) || !Speaks(j)) continue;
    if (fault.kind == FaultKind::kLoseArp && (Has(fault.a, j) || Has(fault.a, i))) continue;
    mask = static_cast<std::uint8_t>(mask | 1U << j);
  }
  return mask;
}

void Model::Turn(int i, const Fault& fault) {
  Member& m = at(i);
  if (m.life != Life::kUp) return;
  const Scene scene = SceneOf(i);
  if (m.seat.state() == Seat::State::kAsking) {
    m.asked = static_cast<std::uint8_t>(m.asked | Answering(i, fault));
    Seat::Finding finding;
    finding.silent = m.asked == 0;
    finding.asked = !finding.silent || !gateway_known || HearsAnybody(i) || Joined(i, kGateway);
    for (int j = kAgents - 1; j >= 0; --j) {
      if (Has(m.asked, j)) finding.answered_by = j;
    }
    const Seat::Act act = m.seat.Answered(finding, scene, timing_, now);
    m.asked = act == Seat::Act::kAsk ? Answering(i, fault) : 0;
    if (act == Seat::Act::kSpeak) {
      const bool proven = gateway_known || HearsAnybody(i);
      m.version = static_cast<std::uint8_t>(proven ? std::max(m.version, m.clock) + 1 : 0);
      m.clock = std::max(m.clock, m.version);
      Spoke(i, fault);
    }
  } else {
    m.saved = m.saved || m.seat.state() == Seat::State::kSpeaking;  // a tick after it began
  }
  if (m.seat.Step(scene, timing_, now)) m.asked = Answering(i, fault);
}

void Model::Tick(const Fault& fault) {
  now += kTick;
  for (Member& m : members) {
    if (m.life == Life::kFrozen) m.asleep = static_cast<std::uint8_t>(std::min<int>(m.asleep + 1, kTimeout));
  }
  Probe(fault);
  Exchange(fault);
  for (int n = 0; n < kAgents; ++n) Turn(backwards ? kAgents - 1 - n : n, fault);
}

// All that decides what may follow: times relative to now, versions by their order only.
std::string Model::Key() const {
  std::vector<std::uint8_t> versions;
  for (const Member& m : members) versions.insert(versions.end(), {m.version, m.clock});
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  const auto order = [&](std::uint8_t v) {
    return static_cast<char>(std::lower_bound(versions.begin(), versions.end(), v) - versions.begin());
  };
  std::string key(1, static_cast<char>((backwards ? 1 : 0) + (gateway_known ? 2 : 0)));
  key.append(reinterpret_cast<const char*>(partition.data()), partition.size());
  for (const Member& m : members) {
    const absl::Time next = m.seat.Next();
    const auto wait = next == absl::InfiniteFuture() ? 99 : std::max<std::int64_t>((next - now) / kTick, 0);
    key += static_cast<char>(m.life);
    key += static_cast<char>(m.seat.state());
    key += static_cast<char>(m.seat.holder());
    key += static_cast<char>(m.seat.doubts());
    key += static_cast<char>(wait);
    key += static_cast<char>(m.seat.state() == Seat::State::kAsking && m.seat.sure() ? 1 : 0);
    key.append(reinterpret_cast<const char*>(m.age.data()), m.age.size());
    key += order(m.version);
    key += order(m.clock);
    key += static_cast<char>(m.asked);
    key += static_cast<char>(m.saved ? 1 : 0);
    key += static_cast<char>(m.asleep);
  }
  return key;
}

std::string Model::Text() const {
  std::string text;
  for (int i = 0; i < kAgents; ++i) {
    const Member& m = at(i);
    absl::StrAppend(&text, i == 0 ? "" : ", ", i, kLives[static_cast<std::size_t>(m.life)], " ",
                    kStates[static_cast<std::size_t>(m.seat.state())], " (holder ", m.seat.holder(), ", version ",
                    m.version, ", group ", partition[static_cast<std::size_t>(i)], ")");
  }
  return absl::StrCat(text, ", gateway group ", partition[kGateway]);
}

}  // namespace berth::agent::peer
