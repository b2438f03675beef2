/** Every upper bound of what is accepted from the network. Not settings: all nodes share them. */

const KiB = 1024
const MiB = 1024 * KiB

/** One gossip message. Above the receiver's own bound gossipsub drops the sender, so it is checked before publishing. */
export const GOSSIP_BYTES_MAX = 1 * MiB
/** One answer on a request stream; longer things are pulled in slices of this size. */
export const STREAM_MESSAGE_BYTES_MAX = 1 * MiB
/** A sealed node update. What does not fit is pulled once by each instead of being gossiped many times over. */
export const NODE_UPDATE_BYTES_MAX = 64 * KiB
/** What a node says about itself, encoded; usually under 1 KiB. */
export const NODE_HEAD_BYTES_MAX = 32 * KiB
/** Rows of one of the 256 buckets of a node's state; all that a node may say gives about 120 on average. */
export const BUCKET_ROWS_MAX = 2_048
export const NODE_MANIFEST_ENTRIES_MAX = 10_000
export const NODE_MANIFEST_AUDITS_MAX = 20_000
export const ENDPOINTS_MAX = 16
export const LANGUAGES_MAX = 64
/** Any text field: operator, zone, agent, a multiaddr. */
export const TEXT_BYTES_MAX = 256
/** A coordinator's signed catalog index: small, gossiped. */
export const CATALOG_INDEX_BYTES_MAX = 512 * KiB
export const CATALOG_INDEX_CYCLES_MAX = 240
/** A catalog of one cycle. */
export const CATALOG_BYTES_MAX = 64 * MiB
export const CATALOG_SHARDS_MAX = 20_000
export const CATALOG_OPERATORS_MAX = 10_000
/** The list of what is archived of one cycle. */
export const ARCHIVE_LIST_BYTES_MAX = 4 * MiB
/** What one node read of upstream on one day, sealed: small, gossiped. */
export const OBSERVATION_BYTES_MAX = 64 * KiB
/** Runs in it: a node reads the status of no more in a day. */
export const OBSERVATION_RUNS_MAX = 256
/** The shards of one observed run; those of enwiki's take some 400 KiB. */
export const OBSERVED_RUN_BYTES_MAX = 4 * MiB
/** Observations of one day that a node keeps, and of all days. */
export const OBSERVATIONS_A_DAY_MAX = 32
export const OBSERVATIONS_MAX = 4_096
/** Runs that observations of one day bring into a node's catalog, and of all days. */
export const OBSERVED_RUNS_A_DAY_MAX = 512
export const OBSERVED_RUNS_MAX = 20_000
/** PROTOCOL 1: parts of a big run. */
export const SHARD_BYTES_MAX = 20 * 1024 * MiB
export const SHARD_FILES_MAX = 2_000
/** Longest path of a file inside a torrent, in bytes (ASCII). */
export const PATH_BYTES_MAX = 400
export const STATUS_JSON_BYTES_MAX = 4 * MiB
/** A dumpstatus.json of upstream; enwiki's is 716,214 bytes. */
export const DUMP_STATUS_BYTES_MAX = 16 * MiB
/** index.json of upstream holds every wiki's status. */
export const DUMP_INDEX_BYTES_MAX = 256 * MiB
/** A v1 info dictionary: 2,048 pieces and 2,003 paths are far below. */
export const INFO_BYTES_MAX = 4 * MiB
/** PROTOCOL 2: a cycle bundle. Its info dictionary is below what other programs read (docs/decisions/0034). */
export const BUNDLE_BYTES_MAX = 200 * 1024 * MiB
export const BUNDLE_FILES_MAX = 10_000
export const BUNDLE_INFO_BYTES_MAX = 3 * MiB
/** PROTOCOL 2 */
export const PIECE_LENGTH_MIN = 16 * KiB
export const PIECE_LENGTH_MAX = 16 * MiB
export const PIECES_WANTED_MAX = 2_048
/** Depth of nested lists and maps in anything decoded. */
export const CODEC_DEPTH_MAX = 16
/** Ranges asked for in one audit challenge. */
export const AUDIT_RANGES_MAX = 64
export const AUDIT_RANGE_BYTES_MAX = 1 * MiB
/** A file that a non-holder asks for to audit a replica: so much a challenge can cover to the last byte. */
export const AUDIT_FILE_BYTES_MAX = AUDIT_RANGES_MAX * AUDIT_RANGE_BYTES_MAX
/** Rows of all nodes together that one node keeps; each takes some 500 bytes of memory. */
export const RECORD_ROWS_MAX = 2_000_000
/** Known nodes kept in a ledger. */
export const LEDGER_NODES_MAX = 20_000
