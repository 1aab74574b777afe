import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1
import SheafFormats

/// Turns each error of a handler into a response that reports the problem.
struct ProblemMiddleware: RouterMiddleware {
    typealias Context = ServerContext

    @concurrent
    func handle(
        _ request: Request,
        context: ServerContext,
        next: @concurrent (Request, ServerContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let response = Response.problem(of: error, prefix: context.prefix)
            if response.status == .internalServerError {
                context.logger.error("\(request.method.rawValue) \(request.uri.path): \(Problem(of: error).message)")
            }
            return response
        }
    }
}

extension Response {
    /// Creates a response that reports any error.
    static func problem(of error: any Error, prefix: String) -> Response {
        switch error {
        case let error as HTTPError:
            .problem(error.status, error.body ?? error.status.reasonPhrase, headers: error.headers)
        case is HTTPParserError: .problem(.badRequest, "the request ended before its body was complete")
        case is NIOTooManyBytesError: .problem(.contentTooLarge, "the body is too large")
        case let error as RequestTooSlow:
            .problem(.requestTimeout, error.description, headers: [.connection: "close"])
        default: .problem(Problem(of: error), prefix: prefix)
        }
    }
}
