// SPDX-License-Identifier: Apache-2.0
#include "common/net/mac_addr.h"

#include <catch2/catch.hpp>

#include "absl/hash/hash.h"
#include "tests/unit/common/net/net_testing.h"

namespace berth {
namespace {

using Catch::Matchers::StartsWith;

TEST_CASE("a MAC address is read in either case and written in lower case", "[unit]") {
  const MacAddr mac = MacAddr::Parse("02:AB:cD:00:1f:F0").value();
  CHECK(mac.ToString() == "02:ab:cd:00:1f:f0");
  CHECK(mac.bytes() == std::array<std::uint8_t, 6>{0x02, 0xab, 0xcd, 0x00, 0x1f, 0xf0});
  CHECK(MacAddr::Parse(mac.ToString()).value() == mac);
}

TEST_CASE("text that is not six colon-separated pairs is refused and quoted", "[unit]") {
  const std::string text = GENERATE(
      values<std::string>({"", "02", "02:00:5e:00:00", "02:00:5e:00:00:0", "02:00:5e:00:00:001", "02:00:5e:00:00:01:02",
                           "2:0:5e:0:0:1", "02-00-5e-00-00-01", "0200.5e00.0001", "02005e000001", "02:00:5e:00:00:0g",
                           "0g:00:5e:00:00:01", "02:00:5e:00:00.01", "02:00:5e:00:00:01 ", " 2:00:5e:00:00:01",
                           "+2:00:5e:00:00:01", "02:00:5e:00:00:-1", "02::00:5e:00:00:1", "0x:00:5e:00:00:01"}));
  CAPTURE(text);
  CHECK_THAT(Complaint(MacAddr::Parse(text)), StartsWith("\"" + text + "\" is not a MAC address"));
}

TEST_CASE("six bytes make a MAC address and come back", "[unit]") {
  const std::string bytes("\x02\x00\xff\x00\x00\x80", 6);
  const MacAddr mac = MacAddr::FromBytes(bytes).value();
  CHECK(mac.ToString() == "02:00:ff:00:00:80");
  CHECK(mac.ToBytes() == bytes);
  const std::size_t length = GENERATE(0U, 5U, 7U, 8U);
  CHECK(Complaint(MacAddr::FromBytes(std::string(length, 'x'))) ==
        "a MAC address has 6 bytes, but " + std::to_string(length) + " were given");
}

TEST_CASE("broadcast, multicast and zero are told apart", "[unit]") {
  CHECK(MacAddr().is_zero());
  CHECK_FALSE(MacAddr().is_multicast());
  CHECK(MacAddr::Broadcast().ToString() == "ff:ff:ff:ff:ff:ff");
  CHECK(MacAddr::Broadcast().is_broadcast());
  CHECK(MacAddr::Broadcast().is_multicast());
  const MacAddr group = MacAddr::Parse("33:33:00:00:00:01").value();
  CHECK(group.is_multicast());
  CHECK_FALSE(group.is_broadcast());
  const MacAddr local = MacAddr::Parse("02:00:00:00:00:01").value();
  CHECK_FALSE(local.is_multicast());
  CHECK_FALSE(local.is_zero());
}

TEST_CASE("MAC addresses sort by their bytes and hash by their value", "[unit]") {
  const MacAddr low = MacAddr::Parse("02:00:00:00:00:ff").value();
  const MacAddr high = MacAddr::Parse("80:00:00:00:00:00").value();
  CHECK(low < high);
  CHECK(absl::Hash<MacAddr>()(low) != absl::Hash<MacAddr>()(high));
  CHECK(absl::Hash<MacAddr>()(low) == absl::Hash<MacAddr>()(MacAddr::Parse("02:00:00:00:00:FF").value()));
}

}  // namespace
}  // namespace berth
