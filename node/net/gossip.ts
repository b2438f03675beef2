/**
 * Gossip over @libp2p/gossipsub: the settings with their reasons, and verdicts before anything is forwarded.
 * Messages carry no author of gossipsub's (StrictNoSign): what they hold is signed by itself (PROTOCOL 3).
 */
import {
  type GossipSub,
  type GossipsubOpts,
  gossipsub,
  type Message,
  StrictNoSign,
  TopicValidatorResult,
} from '@libp2p/gossipsub'
import { createTopicScoreParams, type TopicScoreParams } from '@libp2p/gossipsub/score'
import type { FederationId, NodeId } from '../../protocol/ids.ts'
import { isNodeId } from '../../protocol/ids.ts'
import { GOSSIP_BYTES_MAX } from '../../protocol/limits.ts'
import type { Log, Topic, Verdict } from '../ports.ts'
import { TOPICS, topicName } from './names.ts'
import {
  checkGossipSize,
  type GossipHandler,
  judge,
  messageId,
  REJECTED_MESSAGE_WEIGHT,
  SCORE_THRESHOLDS,
} from './rules.ts'

const MiB = 1024 * 1024

/**
 * Several messages may share one RPC (the answer to an IWANT): room for four of the largest. Above it the receiver
 * silently removes the sender from its router.
 */
const RPC_BYTES_MAX = 4 * GOSSIP_BYTES_MAX + 64 * 1024
/** What may wait for one slow peer before its stream is given up. */
const OUTBOUND_BUFFER_BYTES_MAX = 16 * MiB
const SCORE_DECAY_INTERVAL_MS = 1_000
const DECAY_TO_ZERO = 0.01
const HOUR_MS = 3_600_000

/** The factor per interval that leaves DECAY_TO_ZERO after `durationMs`. */
function decay(durationMs: number): number {
  return DECAY_TO_ZERO ** (SCORE_DECAY_INTERVAL_MS / durationMs)
}

function topicScoreParams(): TopicScoreParams {
  return createTopicScoreParams({
    topicWeight: 1,
    timeInMeshWeight: 0.01,
    timeInMeshQuantum: 1_000,
    timeInMeshCap: 100,
    firstMessageDeliveriesWeight: 0.5,
    firstMessageDeliveriesDecay: decay(HOUR_MS),
    firstMessageDeliveriesCap: 10,
    // Our topics are quiet for minutes: expecting a rate of deliveries punishes honest peers.
    meshMessageDeliveriesWeight: 0,
    meshFailurePenaltyWeight: 0,
    // Rejected is only what every honest node rejects (PROTOCOL 4), so nobody forwards it by mistake.
    invalidMessageDeliveriesWeight: REJECTED_MESSAGE_WEIGHT,
    invalidMessageDeliveriesDecay: decay(HOUR_MS),
  })
}

export function gossipService(federationId: FederationId): ReturnType<typeof gossipsub> {
  const topics = TOPICS.map((topic) => topicName(federationId, topic))
  const options: Partial<GossipsubOpts> = {
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => messageId(message.topic, message.data),
    allowedTopics: topics,
    emitSelf: false,
    fallbackToFloodsub: false,
    // An own message goes to every subscriber: a mesh of few peers forms slowly, and ours are rare.
    floodPublish: true,
    // Loses a message silently when nobody listens; `publish` returns how many got it.
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    doPX: false,
    maxInboundDataLength: RPC_BYTES_MAX,
    maxOutboundBufferSize: OUTBOUND_BUFFER_BYTES_MAX,
    maxTopicBytesPerPeer: 16 * 1024,
    decodeRpcLimits: {
      maxSubscriptions: 64,
      maxMessages: 1_000,
      maxIhaveMessageIDs: 5_000,
      maxIwantMessageIDs: 5_000,
      maxControlMessages: 1_000,
      maxIdontwantMessageIDs: 512,
      maxPeerInfos: 16,
    },
    // A peer whose event loop is busy for some seconds has broken no promise.
    gossipsubIWantFollowupMs: 12_000,
    scoreThresholds: SCORE_THRESHOLDS,
    scoreParams: {
      topics: Object.fromEntries(topics.map((topic) => [topic, topicScoreParams()])),
      topicScoreCap: 10,
      // Off: a home, a university or a test has many nodes behind one address. Who runs many nodes gains nothing by
      // it, since replicas and audits count per operator (PROTOCOL 5).
      IPColocationFactorWeight: 0,
      behaviourPenaltyThreshold: 6,
      behaviourPenaltyWeight: -10,
      behaviourPenaltyDecay: decay(HOUR_MS),
      decayInterval: SCORE_DECAY_INTERVAL_MS,
      decayToZero: DECAY_TO_ZERO,
      // Leaving and coming back must not clear a bad score.
      retainScore: 6 * HOUR_MS,
    },
  }
  return gossipsub(options)
}

/** gossipsub's class has it, its published interface has not. */
interface Scoring {
  getScore(peerId: string): number
}

function isScoring(router: object): router is Scoring {
  return 'getScore' in router && typeof router.getScore === 'function'
}

const RESULTS: Readonly<Record<Verdict, TopicValidatorResult>> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
}

/** Gossip of one federation over a running router. */
export class Gossip {
  readonly #router: GossipSub & Scoring
  readonly #federationId: FederationId
  readonly #log: Log

  constructor(router: GossipSub, federationId: FederationId, log: Log) {
    if (!isScoring(router)) throw new TypeError('this gossipsub keeps no scores')
    this.#router = router
    this.#federationId = federationId
    this.#log = log
  }

  /** Subscribes; the verdict comes before anything is forwarded or counted as delivered. */
  subscribe(topic: Topic, handler: GossipHandler): void {
    const name = topicName(this.#federationId, topic)
    this.#router.topicValidators.set(name, (peer: { toString(): string }, message: Message) => {
      const from = peer.toString()
      return isNodeId(from) ? RESULTS[judge(handler, message.data, from, this.#log)] : RESULTS.ignore
    })
    this.#router.subscribe(name)
  }

  async publish(topic: Topic, data: Uint8Array): Promise<number> {
    checkGossipSize(data)
    // A copy, since the router keeps it for some seconds to answer IWANT.
    const result = await this.#router.publish(topicName(this.#federationId, topic), new Uint8Array(data))
    return result.recipients.length
  }

  score(nodeId: NodeId): number {
    return this.#router.getScore(nodeId)
  }
}
