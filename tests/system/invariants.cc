// SPDX-License-Identifier: Apache-2.0
#include "tests/system/invariants.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace berth::system {
namespace {

constexpr absl::Duration kGratuitous = absl::Milliseconds(5);  // round a new holder's frame two may answer
constexpr absl::Duration kApart = absl::Seconds(3);   // no planned move reaches an agent so long out of contact
constexpr absl::Duration kRecent = absl::Minutes(2);  // its agent was started again since

}  // namespace

Invariants::Invariants(World& world) : world_(world) {
  world_.lan.on_captured = [this](const VirtualLan::Captured& c) { OnFrame(c); };
  world_.wire.on_message = [this](const FakeWire::Message& m) { return OnMessage(m); };
}

void Invariants::Check() {
  bool look = NoteLan();
  if (world_.cluster.changes() != cluster_seen_) {
    cluster_seen_ = world_.cluster.changes();
    NotePools();
    NoteEdits();
    CheckOwners();
    look = true;
  }
  for (const auto& [name, node] : world_.nodes) {
    for (const auto& a : node->agents) look |= NoteAgent(*node, *a);
    if (node->kernel_seen != node->kernel.fake().version()) CheckKernel(*node);
  }
  if (look || doubled_ || world_.Now() >= look_at_) CheckAnnouncers();
}

// ---- what is remembered

bool Invariants::NoteLan() {
  bool changed = false;
  for (const auto& [name, node] : world_.nodes) {
    const VirtualLan::Port& port = *node->port;
    const bool whole = port.carrier && !port.drop_all && port.group == 0 && world_.lan.loss() == 0;
    if (whole == (node->whole_since != absl::InfiniteFuture())) continue;
    node->whole_since = whole ? world_.Now() : absl::InfiniteFuture();
    changed = true;
  }
  return changed;
}

bool Invariants::NoteAgent(Node& node, AgentProcess& process) {
  AgentNotes& notes = process.notes;
  const FakeSource* leader = world_.cluster.leader();
  const bool connected = process.alive() && !process.process.frozen() && leader != nullptr &&
                         world_.wire.Connected(process.link, leader->name());
  if (!connected) {
    notes.heard = false;
  }
  // A leader that has not heard that it leads no more hands addresses over as well.
  const bool linked =
      connected || std::any_of(world_.controllers.begin(), world_.controllers.end(),
                               [&](const auto& c) { return world_.wire.Connected(process.link, c.first); });
  if (linked) {
    notes.apart_since = absl::InfiniteFuture();
  } else if (notes.apart_since == absl::InfiniteFuture()) {
    notes.apart_since = world_.Now();
  }
  const bool contact = connected && notes.heard && notes.acked_term == world_.cluster.term();
  bool changed = false;
  if (contact != (notes.contact_since != absl::InfiniteFuture())) {
    notes.contact_since = contact ? world_.Now() : absl::InfiniteFuture();
    look_at_ = std::min(look_at_, world_.Now() + kContact);
    changed = true;
  }
  const bool speaking = process.alive() && process.frames.speaking() && process.frames.IsOpen(kEth0);
  if (speaking == notes.speaking && notes.table == process.frames.table()) return changed;
  // Standing still for less than the agent timeout is no end of speaking.
  if (notes.speaking && !speaking) {
    notes.paused = notes.since;
    notes.paused_at = world_.Now();
  }
  const bool resumed = speaking && !notes.speaking && world_.Now() - notes.paused_at <= world_.options.agent_timeout;
  notes.speaking = speaking;
  notes.table = process.frames.table();
  std::map<IpAddr, absl::Time> since;
  if (const auto table = notes.table->interfaces.find(kEth0); speaking && table != notes.table->interfaces.end()) {
    for (const IpAddr& address : table->second.answer) {
      const auto& former = resumed ? notes.paused : notes.since;
      const auto known = former.find(address);
      since[address] = known == former.end() ? world_.Now() : known->second;
    }
  }
  for (const auto& [address, unused] : notes.since) node.spoke[address] = world_.Now();
  changed |= since != notes.since;
  notes.since = std::move(since);
  return changed;
}

// ---- announcers

void Invariants::CheckAnnouncers() {
  doubled_ = false;
  look_at_ = absl::InfiniteFuture();
  std::vector<Speaker> speakers;
  for (const auto& [name, node] : world_.nodes) {
    for (const auto& a : node->agents) {
      const absl::Time settled = a->notes.contact_since + kContact;
      if (settled > world_.Now()) look_at_ = std::min(look_at_, settled);
      for (const auto& [address, since] : a->notes.since) {
        speakers.push_back({address, node.get(), a.get(), since});
        if (settled > world_.Now() || owners_.contains(address)) continue;
        world_.Violation(absl::StrCat(address.ToString(), " is announced by ", name, " though no Service has it"));
      }
    }
  }
  std::stable_sort(speakers.begin(), speakers.end(),
                   [](const Speaker& a, const Speaker& b) { return a.address < b.address; });
  for (auto from = speakers.begin(); from != speakers.end();) {
    const auto to = std::find_if(from, speakers.end(), [&](const Speaker& s) { return s.address != from->address; });
    if (to - from > 1) CheckSpeakersOf({from, to});
    from = to;
  }
}

// Several answer for one address. Round a gratuitous frame that is as it must be; else it may be so only where frames
// are lost, and then not between agents that the leader reaches.
void Invariants::CheckSpeakersOf(const std::vector<Speaker>& speakers) {
  const IpAddr& address = speakers.front().address;
  const absl::Time now = world_.Now();
  for (auto a = speakers.begin(); a != speakers.end(); ++a) {
    for (auto b = a + 1; b != speakers.end(); ++b) {
      if (a->node == b->node) continue;
      doubled_ = true;
      const absl::Time since = std::max(a->since, b->since);
      if (now - since <= kGratuitous || now - last_gratuitous_[address] <= kGratuitous) continue;
      const bool contact = a->process->notes.contact_since + kContact <= now &&
                           b->process->notes.contact_since + kContact <= now && a->node->port->carrier &&
                           b->node->port->carrier;
      const Speaker& older = a->since <= b->since ? *a : *b;
      const Speaker& newer = a->since <= b->since ? *b : *a;
      // A frame of one whom it does not know as a candidate is a stranger's to an agent, who defends itself.
      const auto spoke = newer.node->gratuitous.find(address);
      const bool told = spoke != newer.node->gratuitous.end() && spoke->second + kGratuitous >= newer.since;
      const bool whole = std::max(a->node->whole_since, b->node->whole_since) <= since &&
                         (!told || Knows(*older.node, address, newer.node->mac));
      if (world_.lan_is_broken || (!contact && !whole)) continue;
      world_.Violation(absl::StrCat(address.ToString(), " is announced by ", a->node->name, " and ", b->node->name,
                                    contact ? ", both in contact with the leader" : " on one LAN"));
    }
  }
}

bool Invariants::Knows(const Node& node, const IpAddr& address, const MacAddr& mac) {
  if (!node.disk.state) return false;
  const auto has = [&](const std::vector<MacAddr>& macs) {
    return std::find(macs.begin(), macs.end(), mac) != macs.end();
  };
  return std::any_of(node.disk.state->assignments.begin(), node.disk.state->assignments.end(), [&](const auto& a) {
    return a.address == address && (has(a.yield_to) || std::any_of(a.candidates.begin(), a.candidates.end(),
                                                                   [&](const auto& c) { return has(c.macs); }));
  });
}

void Invariants::OnFrame(const VirtualLan::Captured& frame) {
  if (!frame.arp.gratuitous()) return;
  const IpAddr& address = frame.arp.sender_ip;
  last_gratuitous_[address] = frame.at;
  const auto from = world_.nodes.find(frame.from);
  if (from != world_.nodes.end()) from->second->gratuitous[address] = frame.at;
  if (from == world_.nodes.end() || frame.at - from->second->whole_since < absl::Seconds(10)) return;
  const auto spoke = from->second->spoke.find(address);
  if (spoke != from->second->spoke.end() && frame.at - spoke->second < kRecent) return;  // it had it before
  if (std::any_of(from->second->agents.begin(), from->second->agents.end(), [&](const auto& a) {
        const auto since = a->notes.since.find(address);
        return since != a->notes.since.end() && since->second < frame.at;
      })) {
    return;  // and has it still
  }
  for (const auto& [name, node] : world_.nodes) {
    const bool held = std::any_of(node->agents.begin(), node->agents.end(), [&](const auto& a) {
      return a->notes.contact_since != absl::InfiniteFuture() && a->notes.since.contains(address);
    });
    if (held && node != from->second) return;  // a planned move, whoever else answers where frames were lost
  }
  for (const auto& [name, node] : world_.nodes) {
    if (node == from->second || frame.at - node->whole_since < absl::Seconds(10)) continue;
    // Of two agents of one node the leader knows the younger.
    if (std::any_of(node->agents.begin(), node->agents.end(),
                    [&](const auto& a) { return frame.at - a->notes.apart_since < kApart; })) {
      continue;
    }
    for (const auto& a : node->agents) {
      const auto since = a->notes.since.find(address);
      if (since == a->notes.since.end() || frame.at - since->second < kApart || !a->alive()) continue;
      if (!a->frames.Answers(address)) continue;
      world_.Violation(absl::StrCat(address.ToString(), " is taken over by ", frame.from, " while ", name,
                                    " answers for it, out of contact"));
    }
  }
}

// ---- speech

bool Invariants::OnMessage(const FakeWire::Message& message) {
  if (message.at == FakeWire::Message::At::kDelivered) {
    if (message.up == nullptr || !std::holds_alternative<sync::Hello>(*message.up)) return true;
    const Controller* process = world_.controllers.at(message.controller).get();
    if (std::exchange(process_of_[message.controller], process) != process) greeted_[message.controller].clear();
    greeted_[message.controller].insert(message.node);
    return true;
  }
  if (message.down != nullptr) {
    CheckStartGate(message);
    return true;
  }
  std::uint64_t term = 0;
  if (const auto* applied = std::get_if<sync::Applied>(message.up)) term = applied->term;
  if (const auto* rejected = std::get_if<sync::Rejected>(message.up); rejected != nullptr && rejected->seen_term == 0)
    term = rejected->term;
  AgentProcess* process = term == 0 ? nullptr : world_.AgentWith(message.link);
  if (process == nullptr) return true;
  AgentNotes& notes = process->notes;
  if (term < notes.acked_term) {
    world_.Violation(absl::StrCat(message.node, " obeys term ", term, " after it has obeyed term ", notes.acked_term));
  }
  notes.acked_term = std::max(notes.acked_term, term);
  const FakeSource* leader = world_.cluster.leader();
  notes.heard |= leader != nullptr && leader->name() == message.controller && term == world_.cluster.term();
  return true;
}

void Invariants::CheckStartGate(const FakeWire::Message& message) {
  if (std::holds_alternative<sync::NotLeader>(*message.down) || std::holds_alternative<sync::Superseded>(*message.down))
    return;
  const FakeSource* leader = world_.cluster.leader();
  if (leader == nullptr || leader->name() != message.controller) return;
  if (sync::TermOf(*message.down) != world_.cluster.term()) return;
  if (world_.Now() - world_.cluster.leading_since() >= world_.options.start_wait) return;
  for (const auto& known : world_.cluster.agents()) {
    if (greeted_[message.controller].contains(known.node) || !world_.nodes.contains(known.node)) continue;
    if (!world_.cluster.nodes().contains(known.node)) continue;
    world_.Violation(absl::StrCat("controller ", message.controller, " speaks in term ", world_.cluster.term(),
                                  " before ", known.node, " has said Hello"));
  }
}

// ---- silence

void Invariants::CheckKernel(Node& node) {
  node.kernel_seen = node.kernel.fake().version();
  const bool watched = std::any_of(node.agents.begin(), node.agents.end(),
                                   [](const auto& a) { return a->alive() && !a->process.frozen(); });
  if (world_.Now() < node.silence_due || !watched) return;
  for (const auto& [index, link] : node.kernel.fake().links()) {
    for (const agent::LinkAddress& a : link.addresses) {
      if (!a.ours || !node.kernel.fake().WouldAnswer(kEth0, a.cidr.address())) continue;
      world_.Violation(absl::StrCat("the kernel of ", node.name, " answers for ", a.cidr.address().ToString()));
    }
  }
}

}  // namespace berth::system
