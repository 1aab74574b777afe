// swift-tools-version: 6.3
import PackageDescription

let package = Package(
    name: "shorten",
    dependencies: [.package(name: "sheaf", path: "../..")],
    targets: [
        .executableTarget(
            name: "shorten",
            dependencies: [.product(name: "Sheaf", package: "sheaf")],
            swiftSettings: [.swiftLanguageMode(.v6)]
        )
    ]
)
