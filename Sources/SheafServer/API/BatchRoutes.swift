import Hummingbird
import SheafBatches
import SheafCore
import SheafFormats
import SheafSettings

/// The routes that list batches, show one, and show what the logs record about it.
struct BatchRoutes {
    let client: SheafClient
    let directory: BatchDirectory

    static let pageSizes = 1...500
    static let defaultPageSize = 50

    func register(on group: RouterGroup<ServerContext>) {
        group.get("batches", use: list)
        group.get("batches/:batch", use: show)
        group.get("batches/:batch/journal", use: journal)
    }

    @Sendable
    private func list(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        let query = try QueryValues(request, allowed: BatchFilter.parameters.union(["after", "limit"]))
        let filter = try BatchFilter(query)
        let limit = try query.number("limit", in: Self.pageSizes) ?? Self.defaultPageSize
        let place = try query.text("after").map { text in
            guard let place = BatchPage.Place(text) else {
                throw Problem(.usage, "invalid parameter after=\(text): expected 'next' of the previous page")
            }
            return place
        }
        let page = directory.page(after: place, limit: limit, where: filter.includes)
        return .tagged(
            [
                "batches": .array(page.batches.map(\.json)),
                "next": .optional(page.next?.description),
            ],
            for: request
        )
    }

    @Sendable
    private func show(_ request: Request, _ context: ServerContext) throws -> Response {
        try context.require(.read)
        _ = try QueryValues(request, allowed: [])
        return .tagged(try directory.summary(of: context.parameter("batch")).jsonInFull, for: request)
    }

    // MARK: Journal

    /// Thrown to stop reading once a page is full.
    private struct PageIsFull: Error {}

    @Sendable
    private func journal(_ request: Request, _ context: ServerContext) async throws -> Response {
        try context.require(.read)
        let query = try QueryValues(request, allowed: ["index", "after", "limit"])
        let index = try query.number("index", in: 0...BatchState.maximumTasks - 1)
        let limit = try query.number("limit", in: Self.pageSizes) ?? Self.defaultPageSize
        let skipped = try query.number("after", in: 0...Int.max - 1) ?? 0
        var events: [JSONValue] = []
        var place = 0
        var isFull = false
        do {
            try await client.events(of: context.parameter("batch"), index: index) { event in
                if events.count == limit { throw PageIsFull() }
                if place >= skipped { events.append(event.json) }
                place += 1
            }
        } catch is PageIsFull {
            isFull = true
        }
        return .json(["events": .array(events), "next": .optional(isFull ? String(place) : nil)])
    }
}

/// Which batches a list has.
struct BatchFilter {
    /// The query parameters that make up a filter.
    static let parameters: Set = ["status", "flow", "tag", "q"]

    private let statuses: Set<BatchStatus>
    private let flows: Set<String>
    private let tags: [TagFilter]
    private let text: String?

    /// Reads the parameters; several values of `status` or `flow` are alternatives, and all tags must match.
    init(_ query: QueryValues) throws {
        statuses = try query.words("status", BatchStatus.self)
        flows = Set(query.texts("flow"))
        tags = try query.texts("tag").map { text in
            guard let tag = TagFilter(text) else {
                throw Problem(.usage, "invalid parameter tag=\(text): it must be a key, or \(Tags.rule)")
            }
            return tag
        }
        text = query.text("q")?.lowercased()
    }

    /// Whether the list has a batch.
    func includes(_ batch: BatchSummary) -> Bool {
        (flows.isEmpty || flows.contains(batch.info.flow.text))
            && (statuses.isEmpty || statuses.contains(batch.status))
            && tags.allSatisfy { $0.matches(batch.info.options) }
            && (text.map { [batch.info.id.text, batch.info.flow.text, batch.info.source].contains(partly: $0) } ?? true)
    }
}

extension [String] {
    /// Whether an element contains a text, which is in lower case, in any case.
    fileprivate func contains(partly text: String) -> Bool { contains { $0.lowercased().contains(text) } }
}
