// SPDX-License-Identifier: Apache-2.0
// What `tools/bench allocate` compares the controller with, and the allocator alone.
//
//   allocate_bench allocator 100000          gives out that many addresses of 10.0.0.0/8; prints milliseconds, and
//   those
//                                            of as many insertions into a std::map, as the floor
//   allocate_bench floor STATE BYTES FILE..  reads and parses the JSON files, writes BYTES to STATE and syncs it: what
//                                            no controller that reads them and survives a crash can do without
#include <fcntl.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/net/ip_range.h"
#include "controller/plan/ledger.h"

namespace berth {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

int Fail(const std::string& why) {
  std::fprintf(stderr, "allocate_bench: %s\n", why.c_str());
  return 1;
}

int Allocator(int count) {
  std::vector<plan::Claim> claims(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) claims[static_cast<std::size_t>(i)].service = {"bench", "s" + std::to_string(i)};
  auto addresses = IpRangeSet::Parse("10.0.0.0/8");
  if (!addresses.ok()) return Fail(std::string(addresses.status().message()));
  model::Pool pool;
  pool.name = "wide";
  pool.addresses = *std::move(addresses);

  auto start = Clock::now();
  plan::Ledger ledger;
  ledger.UpsertPool(pool);
  for (plan::Claim& claim : claims) {
    const std::optional<IpAddr> free = ledger.LowestFree("wide");
    if (!free) return Fail("the pool is exhausted");
    claim.allocation.address = *free;
    claim.allocation.pool = "wide";
    ledger.Assign(claim);
  }
  const double ours = MillisecondsSince(start);
  if (ledger.UsedCount("wide") != static_cast<std::uint64_t>(count)) return Fail("an address was given out twice");

  start = Clock::now();
  std::map<IpAddr, plan::Claim> floor;
  for (const plan::Claim& claim : claims) floor.emplace(claim.allocation.address, claim);
  const double least = MillisecondsSince(start);
  if (floor.size() != claims.size()) return Fail("the floor lost an address");
  std::printf("{\"allocator_ms\": %.3f, \"map_ms\": %.3f}\n", ours, least);
  return 0;
}

int Floor(const std::string& state, std::size_t bytes, const std::vector<std::string>& files) {
  const auto start = Clock::now();
  std::size_t objects = 0;
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
    if (json.is_discarded()) return Fail(file + " is no JSON");
    objects += json.contains("items") ? json["items"].size() : 1;
  }
  const int fd = open(state.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Fail("cannot write " + state);
  const std::string out(bytes, 'x');
  const bool written =
      write(fd, out.data(), out.size()) == static_cast<ssize_t>(out.size()) && fsync(fd) == 0 && close(fd) == 0;
  if (!written) return Fail("cannot write " + state);
  std::printf("{\"floor_ms\": %.3f, \"objects\": %zu}\n", MillisecondsSince(start), objects);
  return 0;
}

template <typename T>
bool ParseNumber(const std::string& text, T& into) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), into);
  return error == std::errc() && end == text.data() + text.size();
}

int Main(const std::vector<std::string>& args) {
  int count = 0;
  std::size_t bytes = 0;
  if (args.size() == 2 && args[0] == "allocator" && ParseNumber(args[1], count) && count > 0) return Allocator(count);
  if (args.size() > 3 && args[0] == "floor" && ParseNumber(args[2], bytes)) {
    return Floor(args[1], bytes, {args.begin() + 3, args.end()});
  }
  Fail("usage: allocate_bench allocator COUNT | floor STATE BYTES FILE...");
  return 2;
}

}  // namespace
}  // namespace berth

int main(int argc, char** argv) { return berth::Main({argv + 1, argv + argc}); }
