const body = JSON.stringify({
  series: [{
    metric: "orders.received",
    points: [[Date.now() / 1000, 1]],
    type: "rate",
    tags: ["shop:eu"],
    interval: 10
  }]
})

export const handler = async (): Promise<string> => {
  const response = await fetch(`${process.env.DATADOG_HOST}/api/v1/series`, {
    method: "POST",
    headers: { "content-type": "application/json", "dd-api-key": process.env.DD_API_KEY! },
    body
  })
  await response.text()
  return "done"
}
