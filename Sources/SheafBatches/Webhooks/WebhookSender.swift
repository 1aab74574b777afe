import Logging
import SheafBroker
import SheafCore
import SheafFlows

/// Sends webhooks about batches that have ended, and records in the journal that they were sent.
///
/// Runs beside an aggregator that leads. If it is killed, the next one repeats what is not recorded, with the same id.
actor WebhookSender {
    private let client: SheafClient
    private let journal: Journal
    private let configuration: WebhookConfiguration?
    private let timing: WebhookTiming
    private let caller: WebhookCaller
    private var inProgress: Set<String> = []
    private var lacking: Set<Name> = []

    init(
        client: SheafClient,
        journal: Journal,
        configuration: WebhookConfiguration?,
        timing: WebhookTiming = WebhookTiming()
    ) {
        self.client = client
        self.journal = journal
        self.configuration = configuration
        self.timing = timing
        caller = WebhookCaller(allowsPrivateAddresses: configuration?.allowsPrivateAddresses ?? false)
    }

    /// Sends until cancelled.
    func run() async throws {
        try await following(journal.changes()) { start in
            for (batch, end, webhook) in due where inProgress.insert(webhook.id).inserted {
                start { try await self.deliver(webhook, of: batch, until: end) }
            }
        }
    }

    /// Makes one attempt for each webhook that is due, before this process leaves.
    func finish() async throws {
        try await journal.catchUp()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (batch, _, webhook) in due {
                group.addTask { if await self.attempt(webhook) == nil { try await self.record(webhook, of: batch) } }
            }
            try await group.waitForAll()
        }
    }

    /// The webhooks that were neither sent nor given up, each with its batch and the time when that ended.
    private var due: [(BatchInfo, Timestamp, Webhook)] {
        var due: [(BatchInfo, Timestamp, Webhook)] = []
        for batch in journal.state.batches where !batch.options.notify.isEmpty {
            guard let ending = batch.ending, .now < ending.at + timing.lifetime else { continue }
            guard configuration != nil else {
                complain(batch)
                continue
            }
            for index in batch.options.notify.indices {
                let webhook = Webhook(batch, ending: ending, url: index)
                if !batch.notified.contains(webhook.id) { due.append((batch, ending.at, webhook)) }
            }
        }
        return due
    }

    private func record(_ webhook: Webhook, of batch: BatchInfo) async throws {
        try await retrying { try await journal.append(.notified(id: webhook.id), to: batch.id, flow: batch.flow) }
    }

    private func complain(_ batch: BatchInfo) {
        guard lacking.insert(batch.id).inserted else { return }
        client.logger.warning("batch \(batch.id): cannot notify its URLs: this process has no webhook_secret")
    }

    private func deliver(_ webhook: Webhook, of batch: BatchInfo, until end: Timestamp) async throws {
        defer { inProgress.remove(webhook.id) }
        var backoff = Backoff(first: timing.firstPause, ceiling: timing.longestPause)
        while let problem = await attempt(webhook) {
            guard journal[batch.id] != nil else { return }
            guard problem.mayPass, .now < end + timing.lifetime else {
                client.logger.error("batch \(batch.id): gave up notifying: \(problem.text)")
                break
            }
            client.logger.warning("batch \(batch.id): cannot notify, trying again: \(problem.text)")
            try await backoff.pause()
        }
        try await record(webhook, of: batch)
    }

    private struct Problem {
        let text: String
        let mayPass: Bool
    }

    /// Sends a webhook once; returns nil if the receiver has accepted it.
    private func attempt(_ webhook: Webhook) async -> Problem? {
        guard let configuration else { return nil }
        do {
            let headers = webhook.headers(at: .now, key: configuration.key)
            let status = try await caller.post(webhook.body, to: webhook.url, headers: headers, within: timing.timeout)
            if (200..<300).contains(status) { return nil }
            // Gone, as Standard Webhooks define it; a redirect is not followed, since it could lead to a private address.
            let isFinal = status == 410 || (300..<400).contains(status)
            return Problem(text: "the answer was \(status)", mayPass: !isFinal)
        } catch let error as FlowError where error.type == FlowError.privateAddressType {
            return Problem(
                text: "\(webhook.url) is at an address of this machine or of a private network",
                mayPass: false
            )
        } catch let error as FlowError {
            return Problem(text: error.message, mayPass: error.isRetryable)
        } catch {
            return Problem(text: "\(error)", mayPass: true)
        }
    }
}

/// The time-outs and pauses of webhooks.
struct WebhookTiming: Sendable {
    /// How long an attempt may take.
    var timeout = Duration.seconds(10)
    var firstPause = Duration.seconds(2)
    var longestPause = Duration.seconds(3_600)
    /// How long after the end of a batch attempts are made.
    var lifetime = Duration.seconds(24 * 3_600)
}
