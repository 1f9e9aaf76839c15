// SPDX-License-Identifier: Apache-2.0
// tools/berthctl/rows.h -- the objects of the admin API as rows, and as the line that `watch` prints. Pure.
#ifndef BERTH_TOOLS_BERTHCTL_ROWS_H_
#define BERTH_TOOLS_BERTHCTL_ROWS_H_

#include <string>

#include "absl/time/time.h"
#include "berth/admin/v1/admin.pb.h"
#include "tools/berthctl/table.h"

namespace berth::ctl {

namespace v1 = admin::v1;

// `wide` adds columns; `now` is for ages.
Table PoolTable(const v1::ListPoolsResponse& list, bool wide);
Table ServiceTable(const v1::ListServicesResponse& list, bool wide);
Table AddressTable(const v1::ListAddressesResponse& list, bool wide, absl::Time now);
Table AgentTable(const v1::ListAgentsResponse& list, bool wide, absl::Time now);
Table MoveTable(const v1::RebalanceResponse& moves);
Table FindingTable(const v1::DoctorResponse& findings);
// Two lines each, since sentences make a table wide: "ERROR    agent node2: ..." and below it what to do.
std::string FindingLines(const v1::DoctorResponse& findings);

// "CHANGED   address 192.168.50.50: ANNOUNCED by node1"; empty for SYNCED.
std::string ChangeLine(const v1::Change& change);

// The enums' words, without the type's name.
std::string StateWord(const v1::Service& service);
std::string StateWord(const v1::Address& address);
std::string StateWord(const v1::Agent& agent);
// How long ago; "<unknown>" when absent.
std::string AgeOf(bool present, const google::protobuf::Timestamp& since, absl::Time now);

}  // namespace berth::ctl

#endif  // BERTH_TOOLS_BERTHCTL_ROWS_H_
