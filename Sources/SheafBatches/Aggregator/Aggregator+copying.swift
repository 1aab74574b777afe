import Logging
import SheafBroker
import SheafCore

extension Aggregator {
    /// How long a process that leaves may copy what was not copied yet.
    private static let lastCopies = Duration.seconds(3)
    /// How long the report on that may take.
    private static let lastReport = Duration.seconds(1)

    /// Creates what copies outcomes while this aggregator leads; nil if the broker has no topics.
    func makeFanOut(_ changed: Changes) -> FanOut? {
        guard let feed, let topics = client.broker as? any TopicBroker else { return nil }
        return FanOut(client: client, journal: journal, topics: topics, feed: feed, changed: changed) {
            [weak self] batch in await self?.progress(of: batch)
        }
    }

    /// How long a process that leaves may notify URLs.
    private static let lastWebhooks = Duration.seconds(5)

    /// Copies and sends what is left, so that a process that ends with its batch leaves nothing to the next aggregator.
    func finishSending() async {
        await finishCopying()
        guard let webhooks else { return }
        do {
            try await within(Self.lastWebhooks) { try await webhooks.finish() }
        } catch {
            client.logger.debug("the next aggregator sends the last webhooks: \(error)")
        }
    }

    private func finishCopying() async {
        guard let fanOut else { return }
        do {
            try await within(Self.lastCopies) { try await fanOut.finish() }
            // Also if the time was over: the next aggregator repeats what is not reported.
            try await within(Self.lastReport) { try await self.writeProgress() }
        } catch {
            client.logger.debug("the next aggregator copies the last outcomes: \(error)")
        }
    }
}
