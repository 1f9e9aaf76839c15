// SPDX-License-Identifier: Apache-2.0
#include "controller/plan/rebalance.h"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>

namespace berth::plan {
namespace {

using Index = std::size_t;  // of a node, or of an address

class Balancer {
 public:
  Balancer(const std::map<std::string, NodeView>& nodes, const Rules& rules,
           const std::map<std::string, std::size_t>& load)
      : rules_(rules) {
    for (const auto& [name, view] : nodes) {
      const auto loaded = load.find(name);
      nodes_.push_back({&view, loaded == load.end() ? 0 : loaded->second, false, 0, {}});
    }
  }

  void Add(const AddressView& address) {
    if (!address.holder) return;
    if (former_ == nullptr || !SameNodes(*former_, address)) targets_.push_back(TargetsOf(address));
    former_ = &address;
    const auto holder =
        std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& n) { return n.view->name == *address.holder; });
    if (holder == nodes_.end()) return;
    const Index node = static_cast<Index>(holder - nodes_.begin());
    if (!targets_.back()[node]) return;
    nodes_[node].held.push_back(items_.size());
    items_.push_back({address.address, targets_.size() - 1, node, node});
  }

  std::vector<Shift> Run() {
    while (Step()) {
    }
    std::vector<Shift> shifts;
    for (const Item& i : items_) {
      if (i.now != i.first) shifts.push_back({i.address, nodes_[i.first].view->name, nodes_[i.now].view->name});
    }
    std::sort(shifts.begin(), shifts.end(), [](const Shift& a, const Shift& b) { return a.address < b.address; });
    return shifts;
  }

 private:
  struct Node {
    const NodeView* view;
    std::size_t load;
    bool target;  // of some address
    std::uint64_t gained;
    std::vector<Index> held;  // items that it has or had
  };
  struct Item {
    IpAddr address;
    Index group;  // into targets_
    Index first, now;
  };
  // Which addresses of one node could go to another, best last, as long as that node gains none.
  struct Queue {
    std::optional<std::uint64_t> gained;
    std::vector<Index> items;
  };

  // The nodes that an address may go to: those of the best tier that can hold it.
  std::vector<bool> TargetsOf(const AddressView& address) {
    std::vector<bool> targets(nodes_.size());
    std::optional<int> best;
    for (Index n = 0; n < nodes_.size(); ++n) {
      targets[n] = CanHold(address, *nodes_[n].view, rules_).ok();
      if (targets[n]) best = std::min(best.value_or(Tier(*nodes_[n].view)), Tier(*nodes_[n].view));
    }
    for (Index n = 0; n < nodes_.size(); ++n) {
      targets[n] = targets[n] && Tier(*nodes_[n].view) == *best;
      nodes_[n].target = nodes_[n].target || targets[n];
    }
    return targets;
  }

  std::size_t Slack() const {
    std::size_t total = 0, targets = 0;
    for (const Node& n : nodes_) {
      if (!n.target) continue;
      total += n.load;
      ++targets;
    }
    return targets == 0 ? 1 : std::max<std::size_t>(1, total / targets / 4);
  }

  // Moves one address, from a node with as many as possible to one with as few; false when all is even.
  bool Step() {
    const std::size_t slack = Slack();
    std::vector<Index> order(nodes_.size());
    std::iota(order.begin(), order.end(), Index{0});
    // Those of one load in their order.
    std::sort(order.begin(), order.end(), [&](Index a, Index b) {
      return nodes_[a].load != nodes_[b].load ? nodes_[a].load < nodes_[b].load : a < b;
    });
    for (auto from = order.rbegin(); from != order.rend(); ++from) {
      for (const Index to : order) {
        if (nodes_[*from].load <= nodes_[to].load + slack) break;
        const std::optional<Index> item = TakeBest(*from, to);
        if (!item) continue;
        items_[*item].now = to;
        nodes_[to].held.push_back(*item);
        ++nodes_[to].gained;
        --nodes_[*from].load;
        ++nodes_[to].load;
        return true;
      }
    }
    return false;
  }

  std::optional<Index> TakeBest(Index from, Index to) {
    Queue& queue = queues_[{from, to}];
    if (queue.gained != nodes_[from].gained) {
      queue.gained = nodes_[from].gained;
      Fill(from, to, queue.items);
    }
    while (!queue.items.empty()) {
      const Index item = queue.items.back();
      queue.items.pop_back();
      if (items_[item].now == from) return item;
    }
    return std::nullopt;
  }

  void Fill(Index from, Index to, std::vector<Index>& out) const {
    std::vector<std::pair<std::int64_t, Index>> liked;
    for (const Index i : nodes_[from].held) {
      const Item& item = items_[i];
      if (item.now != from || !targets_[item.group][to]) continue;
      const auto weight = [&](Index n) {
        return static_cast<std::int64_t>(Weight(nodes_[n].view->name, item.address) >> 1);
      };
      liked.emplace_back(weight(to) - weight(from), i);
    }
    std::sort(liked.begin(), liked.end(), [&](const auto& a, const auto& b) {
      return a.first != b.first ? a.first < b.first : items_[b.second].address < items_[a.second].address;
    });
    out.clear();
    for (const auto& [liking, item] : liked) {
      if (out.empty() || out.back() != item) out.push_back(item);
    }
  }

  const Rules& rules_;
  std::vector<Node> nodes_;
  std::vector<Item> items_;
  std::vector<std::vector<bool>> targets_;
  const AddressView* former_ = nullptr;
  std::map<std::pair<Index, Index>, Queue> queues_;
};

}  // namespace

std::vector<Shift> Rebalance(const std::vector<AddressView>& addresses, const std::map<std::string, NodeView>& nodes,
                             const Rules& rules, const std::map<std::string, std::size_t>& load) {
  Balancer balancer(nodes, rules, load);
  for (const AddressView& address : addresses) balancer.Add(address);
  return balancer.Run();
}

}  // namespace berth::plan
