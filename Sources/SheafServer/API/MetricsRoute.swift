import HTTPTypes
import Hummingbird
import NIOCore
import SheafBatches
import SheafCore
import SheafTelemetry

/// The route that exports metrics to Prometheus: what the fold knows, once for all workers.
struct MetricsRoute {
    private let directory: BatchDirectory
    private let watch: BrokerWatch
    private let fold = FoldMetrics()
    private let newestBatches: Int

    /// Creates the route; `newestBatches` is how many active batches have series of their own.
    init(directory: BatchDirectory, watch: BrokerWatch, newestBatches: Int = 0) {
        self.directory = directory
        self.watch = watch
        self.newestBatches = newestBatches
    }

    /// Adds the route to a router.
    func register(on router: some RouterMethods<ServerContext>) {
        router.get("metrics") { _, _ in Response.metrics(text) }
    }

    private var text: String {
        var text = PrometheusText()
        watch.write(to: &text)
        fold.write(directory.snapshot, newest: newestBatches, now: .now, to: &text)
        return text.text
    }
}

extension Response {
    /// Creates a response with metrics in the text format of Prometheus.
    static func metrics(_ text: String) -> Response {
        let body = ByteBuffer(string: text)
        return Response(
            status: .ok,
            headers: [
                .contentType: PrometheusText.contentType, .contentLength: String(body.readableBytes),
                .cacheControl: "no-store",
            ],
            body: ResponseBody(byteBuffer: body)
        )
    }
}
