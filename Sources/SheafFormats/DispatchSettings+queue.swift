package import SheafBatches
package import SheafDispatch
import SheafRedis
package import SheafSettings

extension DispatchSettings {
    /// Opens the queue of the dispatcher: the broker's own, or one in Redis.
    package func openQueue(_ client: SheafClient) async throws -> any SearchableRequestQueue {
        guard let queue else {
            return try await BrokerRequestQueue.open(
                client: client,
                name: name,
                configuration: BrokerRequestQueueConfiguration(key: key, maxWaiting: maxWaiting)
            )
        }
        return try await RedisRequestQueue.open(
            url: queue.url,
            name: name,
            configuration: RedisRequestQueueConfiguration(
                kind: queue.kind,
                queueKey: queue.key,
                key: key,
                maxWaiting: maxWaiting
            )
        )
    }
}
