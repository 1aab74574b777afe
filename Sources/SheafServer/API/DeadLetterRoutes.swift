import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The routes that list dead letters, show one, requeue them and clear the list.
struct DeadLetterRoutes {
    let client: SheafClient

    static let pageSizes = 1...500
    static let defaultPageSize = 50

    func register(on group: RouterGroup<ServerContext>) {
        group.get("dead", use: list)
        group.get("dead/:number", use: show)
        group.post("dead/:number/requeue", use: requeue)
        group.post("dead/requeue", use: requeueAll)
        group.delete("dead", use: dismiss)
    }

    @Sendable
    private func list(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        let query = try QueryValues(request, allowed: ["after", "limit"])
        let limit = try query.number("limit", in: Self.pageSizes) ?? Self.defaultPageSize
        let after = try query.number("after", in: 0...Int.max).map(Int64.init)
        let letters = try await client.deadLetters()
        let page = letters.drop { letter in after.map { letter.offset <= $0 } ?? false }
        let shown = page.prefix(limit)
        return .json([
            "dead": .array(shown.map(\.json)), "count": .integer(letters.count),
            "next": .optional(shown.count < page.count ? shown.last.map { String($0.offset) } : nil),
        ])
    }

    @Sendable
    private func show(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        let (letter, message) = try await client.deadLetter(at: number(context))
        return .json(letter.json(with: message))
    }

    @Sendable
    private func requeue(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        return .json(try await client.requeueDeadLetter(at: number(context)).json)
    }

    @Sendable
    private func requeueAll(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        return .json(["dead": .array(try await client.requeueDeadLetters().map(\.json))])
    }

    @Sendable
    private func dismiss(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.write)
        _ = try QueryValues(request, allowed: [])
        return .json(["purged": .integer(try await client.dismissDeadLetters())])
    }

    private func number(_ context: ServerContext) throws -> Int64 {
        let text = try context.parameter("number")
        guard let number = Int64(text), number >= 0 else {
            throw Problem(.notFound, "dead letter '\(text)' does not exist", advice: .batches(.listDeadLetters))
        }
        return number
    }
}
