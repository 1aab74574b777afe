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
        ),
        .testTarget(
            name: "ShortenTests",
            dependencies: [
                "shorten", .product(name: "Sheaf", package: "sheaf"), .product(name: "SheafTesting", package: "sheaf"),
            ],
            swiftSettings: [.swiftLanguageMode(.v6)]
        ),
    ]
)
